package move

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cloakroom-dev/cloakroom/cache/transfer"
	"github.com/cloakroom-dev/cloakroom/internal/frames"
)

// mode is that of the file of an export: the hashes of tokens are in it.
const mode = 0o600

// outputFile is the file of an export. What was there stays until something is written.
type outputFile struct {
	*os.File
	// created says that the file was not there before.
	created bool
	// written says that there is something of this export in it.
	written bool
}

// Write is io.Writer's.
func (f *outputFile) Write(b []byte) (int, error) {
	if !f.written {
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
		f.written = true
	}
	return f.File.Write(b)
}

// finish closes the file. It removes one that it has made and not written to.
func (f *outputFile) finish() error {
	err := errors.Join(f.Sync(), f.Close())
	if f.created && !f.written {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// open opens what is written to, and finds out where it goes on.
func (f *exportFlags) open(stdout io.Writer, format *frames.Format) (io.Writer, *transfer.Resume, error) {
	switch {
	case f.file == "":
		return stdout, nil, nil
	case f.resume:
		return f.reopen(format)
	case f.overwrite:
		file, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE, mode)
		if err != nil {
			return nil, nil, err
		}
		if err := file.Chmod(mode); err != nil {
			return nil, nil, errors.Join(err, file.Close())
		}
		return &outputFile{File: file}, nil, nil
	}
	file, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		err = fmt.Errorf("%s is there already: --overwrite writes over it, --resume goes on with it", f.file)
	}
	if err != nil {
		return nil, nil, err
	}
	return &outputFile{File: file, created: true}, nil, nil
}

// reopen opens a file whose export was interrupted, and cuts off what is not whole. A file that does not begin as an export
// is left as it is.
func (f *exportFlags) reopen(format *frames.Format) (io.Writer, *transfer.Resume, error) {
	file, err := os.OpenFile(f.file, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	resume := new(transfer.Resume)
	end, found, err := frames.ReadIntact(file, resume.Add)
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err == nil && end == 0 && info.Size() > 0 {
		err = errors.New("its beginning is no export, or is cut off; --overwrite writes over it")
	}
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s cannot be resumed: %w", f.file, err), file.Close())
	}
	if end > 0 {
		*format = found
	}
	return &outputFile{File: file, written: true}, resume, nil
}
