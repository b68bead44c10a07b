// Judges resources as GitOps controllers do: health by the script for Argo CD, in the interpreter and with the libraries
// that Argo CD has, and status by kstatus, as Flux has it. Reads one JSON object a line, and answers each with a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const lineBytesMax = 4 << 20

type judgement struct {
	Health  string `json:"health"`
	Message string `json:"message"`
	Kstatus string `json:"kstatus"`
}

func main() {
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, lineBytesMax), lineBytesMax)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var object map[string]any
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			fail(err)
		}
		judged, err := judge(string(script), object)
		if err != nil {
			fail(err)
		}
		if err := answers.Encode(judged); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func judge(script string, object map[string]any) (judgement, error) {
	health, message, err := runScript(script, object)
	if err != nil {
		return judgement{}, err
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: withWholeNumbers(object).(map[string]any)})
	if err != nil {
		return judgement{}, err
	}
	return judgement{Health: health, Message: message, Kstatus: string(result.Status)}, nil
}

// Argo CD loads these libraries alone: no strings, no input or output.
func runScript(script string, object map[string]any) (string, string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, // must be the first
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
	} {
		call := lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return "", "", err
		}
	}
	state.SetGlobal("obj", luaValue(state, object))
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	table, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return "", "", fmt.Errorf("the script returned no table")
	}
	return table.RawGetString("status").String(), table.RawGetString("message").String(), nil
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch typed := value.(type) {
	case bool:
		return lua.LBool(typed)
	case float64:
		return lua.LNumber(typed)
	case string:
		return lua.LString(typed)
	case []any:
		table := state.CreateTable(len(typed), 0)
		for _, item := range typed {
			table.Append(luaValue(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(typed))
		for name, item := range typed {
			table.RawSetString(name, luaValue(state, item))
		}
		return table
	}
	return lua.LNil
}

// Kubernetes' objects have int64 where JSON in Go has floats.
func withWholeNumbers(value any) any {
	switch typed := value.(type) {
	case float64:
		if typed == float64(int64(typed)) {
			return int64(typed)
		}
	case []any:
		for at, item := range typed {
			typed[at] = withWholeNumbers(item)
		}
	case map[string]any:
		for name, item := range typed {
			typed[name] = withWholeNumbers(item)
		}
	}
	return value
}
