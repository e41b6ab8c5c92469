// Package frames writes lines in frames, each of which is compressed on its own, so that a file that was cut off is good
// up to the end of its last whole frame. Look here when a compressed file cannot be read, or to be gone on with.
//
// gzip calls them members, zstd frames: programs that read either read files of several.
package frames

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Format is how frames are compressed.
type Format string

// The formats; of Plain lines each is a frame of its own.
const (
	Plain Format = "none"
	Gzip  Format = "gzip"
	Zstd  Format = "zstd"
)

const (
	// size is how many bytes of lines make a frame.
	size = 1 << 20
	// maxFrame is how much a frame may decompress to, and be compressed: more than size and the lines of one Write.
	maxFrame = 64 << 20
)

// FormatOf returns the format that a file's name ends with.
func FormatOf(name string) Format {
	switch {
	case strings.HasSuffix(name, ".gz"):
		return Gzip
	case strings.HasSuffix(name, ".zst"):
		return Zstd
	}
	return Plain
}

// Writer writes frames. It is for one goroutine.
type Writer struct {
	to     io.Writer
	format Format
	lines  []byte
	frame  bytes.Buffer // of gzip
	packed []byte       // of zstd
	gzip   *gzip.Writer
	zstd   *zstd.Encoder
}

// NewWriter returns what writes to another writer. What it holds back, Flush writes.
func NewWriter(to io.Writer, f Format) (*Writer, error) {
	w := &Writer{to: to, format: f}
	var err error
	switch f {
	case Gzip:
		w.gzip, err = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	case Zstd:
		w.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	}
	return w, err
}

// Write takes whole lines.
func (w *Writer) Write(lines []byte) (int, error) {
	w.lines = append(w.lines, lines...)
	if len(w.lines) < size {
		return len(lines), nil
	}
	return len(lines), w.Flush()
}

// Flush ends the frame, and writes it.
func (w *Writer) Flush() error {
	if len(w.lines) == 0 {
		return nil
	}
	out := w.lines
	switch w.format {
	case Gzip:
		w.frame.Reset()
		w.gzip.Reset(&w.frame)
		if _, err := w.gzip.Write(w.lines); err != nil {
			return err
		}
		if err := w.gzip.Close(); err != nil {
			return err
		}
		out = w.frame.Bytes()
	case Zstd:
		w.packed = w.zstd.EncodeAll(w.lines, w.packed[:0])
		out = w.packed
	}
	_, err := w.to.Write(out)
	w.lines = w.lines[:0]
	return err
}

// The bytes that files of each format begin with.
var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// formatIn returns the format of what in has next.
func formatIn(in *bufio.Reader) Format {
	start, _ := in.Peek(len(zstdMagic)) // who has fewer bytes is plain, or cut off
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		return Gzip
	case bytes.HasPrefix(start, zstdMagic):
		return Zstd
	}
	return Plain
}

// NewReader returns what reads the lines of frames of any format. Its error is io.ErrUnexpectedEOF if the last one is
// cut off.
func NewReader(from io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(from, 64<<10)
	switch formatIn(in) {
	case Gzip:
		return gzip.NewReader(in)
	case Zstd:
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(in), nil
}

// Whole shows the lines of all whole frames, frame by frame, and returns where the last of them ends that are good: what
// is behind it is cut off, or damaged. Its error is that of each, or of from, but not that of a damaged frame.
func Whole(from io.Reader, each func(lines []byte) (good bool, err error)) (end int64, f Format, err error) {
	in := &counting{Reader: bufio.NewReaderSize(from, 64<<10)}
	f = formatIn(in.Reader)
	var next func() ([]byte, error)
	switch f {
	case Gzip:
		next = in.gzip(new(gzip.Reader))
	case Zstd:
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
		if err != nil {
			return 0, f, err
		}
		defer d.Close()
		next = in.zstd(d)
	default:
		next = in.line
	}
	for {
		lines, err := next()
		if in.err != nil {
			return end, f, fmt.Errorf("reading it: %w", in.err)
		}
		if err != nil || len(lines) == 0 {
			return end, f, nil
		}
		good, err := each(lines)
		if err != nil {
			return end, f, err
		}
		if good {
			end = in.n
		}
	}
}

// counting knows how many bytes were read.
type counting struct {
	*bufio.Reader
	n   int64
	err error // of the reader itself
}

func (c *counting) note(n int, err error) error {
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return err
}

// Read is io.Reader's.
func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	return n, c.note(n, err)
}

// ReadByte is io.ByteReader's: it keeps decompressors from reading ahead.
func (c *counting) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err != nil {
		return 0, c.note(0, err)
	}
	return b, c.note(1, nil)
}

// line returns the next whole line.
func (c *counting) line() (line []byte, err error) {
	for {
		part, err := c.ReadSlice('\n')
		line = append(line, part...)
		if err == bufio.ErrBufferFull && len(line) < maxFrame {
			_ = c.note(len(part), nil)
			continue
		}
		return line, c.note(len(part), err)
	}
}

// gzip returns what returns the next whole member.
func (c *counting) gzip(z *gzip.Reader) func() ([]byte, error) {
	return func() ([]byte, error) {
		if err := z.Reset(c); err != nil {
			return nil, err
		}
		z.Multistream(false)
		lines, err := io.ReadAll(io.LimitReader(z, maxFrame))
		return lines, err
	}
}

// zstd returns what returns the next whole frame.
func (c *counting) zstd(d *zstd.Decoder) func() ([]byte, error) {
	return func() ([]byte, error) {
		frame, err := c.zstdFrame()
		if err != nil {
			return nil, err
		}
		return d.DecodeAll(frame, nil)
	}
}

// The parts of a zstd frame behind its header (RFC 8878, 3.1.1): blocks, each with a header of three bytes, and a checksum.
const (
	blockHeader   = 3
	blockRLE      = 1
	frameChecksum = 4
)

// zstdFrame reads a frame as it is.
func (c *counting) zstdFrame() (frame []byte, err error) {
	start, _ := c.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	if err := h.Decode(start); err != nil {
		return nil, err
	}
	take := func(n int) ([]byte, error) {
		at := len(frame)
		if at+n > maxFrame {
			return nil, zstd.ErrDecoderSizeExceeded
		}
		frame = append(frame, make([]byte, n)...)
		_, err := io.ReadFull(c, frame[at:])
		return frame[at:], err
	}
	if _, err := take(h.HeaderSize); err != nil {
		return nil, err
	}
	for last := false; !last; {
		b, err := take(blockHeader)
		if err != nil {
			return nil, err
		}
		head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		last = head&1 != 0
		length := head >> 3
		if head>>1&3 == blockRLE {
			length = 1
		}
		if _, err := take(length); err != nil {
			return nil, err
		}
	}
	if h.HasCheckSum {
		_, err = take(frameChecksum)
	}
	return frame, err
}
