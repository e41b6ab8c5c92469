package openapi

import "strings"

// methods are those that a path of the document may have.
var methods = []string{"get", "put", "post", "delete", "patch"}

// operation returns the operation with an ID, nil if there is none.
func (t *tree) operation(id string) *tree {
	_, _, op := t.find(id)
	return op
}

// find returns the path, the method and the operation with an ID.
func (t *tree) find(id string) (path, method string, op *tree) {
	paths := t.get("paths")
	for _, path := range paths.names {
		for _, method := range methods {
			if op := paths.get(path, method); op != nil && op.get("operationId").text() == id {
				return path, method, op
			}
		}
	}
	return "", "", nil
}

// resolve returns what a reference names; else t itself. A description beside the reference is not looked at.
func (t *tree) resolve(value *tree) *tree {
	ref := value.get("$ref")
	if ref == nil {
		return value
	}
	return t.get(strings.Split(strings.TrimPrefix(ref.text(), "#/"), "/")...)
}

// address is where an operation is asked, as the server's default says.
func (t *tree) address(id string) string {
	path, _, _ := t.find(id)
	servers := t.get("paths", path, "servers")
	if servers == nil {
		servers = t.get("servers")
	}
	return servers.list[0].get("variables", "address", "default").text()
}
