// A worker of graphile-worker with a task that does nothing, until its input ends. Prints `ready` when it listens.
import { EventEmitter } from "node:events";
import { Logger, run } from "graphile-worker";

const events = new EventEmitter();
events.once("pool:listen:success", () => process.stdout.write("ready\n"));
const runner = await run({
  connectionString: process.argv[2],
  taskList: { noop: () => {} },
  events,
  noHandleSignals: true,
  logger: new Logger(() => () => {}),
  preset: {
    worker: { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
  },
});
process.stdin.on("end", () => runner.stop()).resume();
