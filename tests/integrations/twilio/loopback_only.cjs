// Loaded before a server of somebody else: whatever address it asks for, it listens on 127.0.0.1, and it ends with its
// standard input, so that it does not outlive the tests.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  const options = typeof given[0] === "object" && given[0] !== null ? given[0] : { port: Number(given[0]) };
  const listening = given.find((argument) => typeof argument === "function");
  this.once("listening", () => console.error(`listening on ${this.address().address}`));
  return listen.call(this, { port: options.port, host: "127.0.0.1" }, listening);
};

process.stdin.on("end", () => process.exit(0)).resume();
