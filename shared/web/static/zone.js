// Tells the server the time zone of the browser. Without this script pages write times in UTC, or in the zone chosen on the account page.
{
  const https = location.protocol === "https:";
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone);
  document.cookie = `${https ? "__Host-" : ""}earshot-browser-zone=${zone}; path=/; max-age=34560000; samesite=lax${https ? "; secure" : ""}`;
}
