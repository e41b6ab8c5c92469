package main

import "testing"

func TestEmbeddedServerDiesWithUs(t *testing.T) {
	dir := shortDir(t)
	cmd, _ := process(t, "ready", embeddedArgs(dir)...)
	pid := serverOf(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// The server holds the lock of its directory until it has ended: a new
	// start waits for it.
	p := launch(t, embeddedArgs(dir))
	p.ready(t)
	if now := serverOf(t, dir); now == pid {
		t.Error("the old server is still there")
	}
}
