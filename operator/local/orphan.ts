// Loaded into the data plane before its own program: when whoever started it is gone, it stops as if it had been told to,
// so that no store goes on that nobody rules. Its own process group keeps it from the terminal's Ctrl-C.

if (process.channel !== undefined && process.channel !== null) {
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}
