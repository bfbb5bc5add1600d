package policy

// later are rows of commands that came after Redis 7.0 and that clients send
// when they connect. They say something about the connection only, so every
// node can take them, whatever its backend knows.
var later = [...]Spec{
	{Name: "client|no-touch", Arity: 3, Policy: Local},
	{Name: "client|setinfo", Arity: 4, Policy: Local},
}
