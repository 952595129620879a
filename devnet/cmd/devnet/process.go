package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Children are the programs that the devnet started, each with a log file of its own.
type Children struct {
	dir      string
	failed   context.CancelCauseFunc
	mutex    sync.Mutex
	stopping bool
	list     []*child
}

type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

// NewChildren keeps log files in dir and calls failed when a child ends by itself.
func NewChildren(dir string, failed context.CancelCauseFunc) *Children {
	return &Children{dir: dir, failed: failed}
}

// Start starts a program. Its output goes to NAME.log.
func (c *Children) Start(name, program string, args ...string) error {
	log, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own handle
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.dir
	// A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", name, err)
	}
	started := &child{name: name, cmd: cmd, done: make(chan struct{})}
	c.mutex.Lock()
	c.list = append(c.list, started)
	c.mutex.Unlock()
	go c.await(started)
	return nil
}

func (c *Children) await(started *child) {
	err := started.cmd.Wait()
	c.mutex.Lock()
	expected := c.stopping
	c.mutex.Unlock()
	if !expected {
		c.failed(fmt.Errorf("%s ended by itself (%v); see %s.log", started.name, err, started.name))
	}
	close(started.done)
}

// StopAll ends all children, the last started first: consensus clients before what they talk to.
func (c *Children) StopAll() {
	c.mutex.Lock()
	c.stopping = true
	list := c.list
	c.mutex.Unlock()
	for i := len(list) - 1; i >= 0; i-- {
		list[i].stop()
	}
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// Ports hands out consecutive ports.
type Ports struct{ next int }

// NewPorts begins at first.
func NewPorts(first int) *Ports { return &Ports{next: first} }

// Take gives the next port, or an error if another program has it.
func (p *Ports) Take() (int, error) {
	port := p.next
	p.next++
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, fmt.Errorf("port %d is taken: choose other ports with --base-port", port)
	}
	return port, listener.Close()
}
