// Usage: node fetch.mjs URL    (node fetch.mjs "http://localhost:4321/access.log?from=-10&follow")
const reply = await fetch(process.argv[2]);
if (!reply.ok) throw await reply.text();
for await (const bytes of reply.body) process.stdout.write(bytes);
