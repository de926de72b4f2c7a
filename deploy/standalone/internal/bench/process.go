package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// ticks is how many of the kernel's units of CPU time make a second.
const ticks = 100

// cpu returns the CPU time, in seconds, that a server has spent so far.
func cpu(s *mariadb.Server) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
	if err != nil {
		return 0, err
	}
	// Behind the name, which may hold anything, come the state and then numbers; user and system time are the 12th and 13th of these fields.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var sum float64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		sum += n / ticks
	}
	return sum, nil
}

// peak is the most memory, in MiB, that this process has had so far: opsdeck's, which runs in it, together with the benchmark's own.
func peak() (int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.Atoi(number)
	return kib >> 10, err
}
