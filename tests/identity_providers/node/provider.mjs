// oidc-provider with one client, whose users are whoever they say, in one group; arguments: port, and the client as JSON.
import Provider from "oidc-provider";

const [port, client] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [JSON.parse(client)],
  claims: { profile: ["name", "preferred_username", "groups"] },
  async findAccount(_context, login) {
    return {
      accountId: login,
      claims: () => ({ sub: login, name: `${login} Petrova`, preferred_username: login, groups: ["nps-supervisors"] }),
    };
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
process.stdin.on("end", () => process.exit()).resume();
