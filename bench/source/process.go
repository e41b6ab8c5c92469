package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// process is what Linux says of a process in /proc/PID/stat. Times are in seconds.
type process struct {
	parent int
	cpu    float64
	waited float64 // the CPU time of its children that have ended
}

var errNoProcess = errors.New("no such process")

// parseStat reads a /proc/PID/stat, in which times are in hundredths of a second.
func parseStat(stat []byte) (process, error) {
	const parent, user, system, waitedUser, waitedSystem = 1, 11, 12, 13, 14 // counted from behind the name, which may have anything in it
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= waitedSystem {
		return process{}, errNoProcess
	}
	var err error
	number := func(field int) int {
		n, e := strconv.Atoi(string(fields[field]))
		err = errors.Join(err, e)
		return n
	}
	p := process{
		parent: number(parent),
		cpu:    float64(number(user)+number(system)) / 100,
		waited: float64(number(waitedUser)+number(waitedSystem)) / 100,
	}
	return p, err
}

func readProcess(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseStat(stat)
}

// readProcess adds the CPU time of a process, and its memory.
func (r Reading) readProcess(pid int) {
	if p, err := readProcess(pid); err == nil {
		r[programCPU] = p.cpu
	}
	statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := bytes.Fields(statm); len(fields) > 1 {
		if pages, err := strconv.Atoi(string(fields[1])); err == nil {
			r[programResident] = float64(pages * os.Getpagesize())
		}
	}
}

// familyCPU is the CPU time of a process and all its children, those that have ended among them.
func familyCPU(pid int) (float64, error) {
	p, err := readProcess(pid)
	if err != nil {
		return 0, err
	}
	seconds := p.cpu + p.waited
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if child, err := parseStat(stat); err == nil && child.parent == pid {
			seconds += child.cpu
		}
	}
	return seconds, nil
}

// PostgresServer returns the process that all others of a PostgreSQL server are children of, given that of
// a connection; 0 if the server is not on this machine.
func PostgresServer(connection int) int {
	isPostgres := func(pid int) bool {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && string(bytes.TrimSpace(name)) == "postgres"
	}
	p, err := readProcess(connection)
	if err != nil || !isPostgres(connection) || !isPostgres(p.parent) {
		return 0
	}
	return p.parent
}
