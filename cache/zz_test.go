package cache
import ("testing";"os")
func TestZZ(t *testing.T){ for _,n:=range documents { os.WriteFile("testdata/"+n+".v1",encodeDocument(nil,readDocument(t,n)),0o644)}}
