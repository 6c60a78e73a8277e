// The label and the probabilities of each row of numbers on stdin: go run . iris.slim < rows.txt
package main

// #cgo pkg-config: slim
// #include <slim.h>
// #include <stdlib.h>
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"
)

// A Session answers for one method; one goroutine at a time may run it.
type Session struct {
	session *C.slim_session
	array   *C.slim_array // in C's memory, as Go's may not hold pointers that C keeps
	row     []float64     // likewise
}

// What failed last in this thread of the system: the caller has locked it.
func check(status C.slim_status) error {
	if status == C.SLIM_OK {
		return nil
	}
	return errors.New(C.GoString(C.slim_message()))
}

func NewSession(model *C.slim_model, method string, columns int) (*Session, error) {
	name := C.CString(method)
	defer C.free(unsafe.Pointer(name))
	made := &Session{}
	if err := check(C.slim_session_new(model, name, nil, &made.session)); err != nil {
		return nil, err
	}
	data := C.malloc(C.size_t(8 * columns))
	shape := (*[2]C.int64_t)(C.malloc(16))
	shape[0], shape[1] = 1, C.int64_t(columns)
	made.array = (*C.slim_array)(C.calloc(1, C.sizeof_slim_array))
	made.array.name = C.CString("X")
	made.array._type = C.SLIM_F64
	made.array.data = data
	made.array.rank = 2
	made.array.shape = &shape[0]
	made.row = unsafe.Slice((*float64)(data), columns)
	return made, nil
}

// Run returns the numbers that the method gives, and the codes where it gives those.
func (s *Session) Run(row []float64) ([]float64, []int64, error) {
	copy(s.row, row)
	if err := check(C.slim_session_run(s.session, s.array, 1)); err != nil {
		return nil, nil, err
	}
	found := C.slim_session_result(s.session, 0)
	count := 1
	for _, extent := range unsafe.Slice((*int64)(unsafe.Pointer(found.shape)), found.rank) {
		count *= int(extent)
	}
	if found._type == C.SLIM_I64 {
		return nil, unsafe.Slice((*int64)(found.data), count), nil
	}
	return unsafe.Slice((*float64)(found.data), count), nil, nil
}

func (s *Session) Close() {
	C.slim_session_free(s.session)
	C.free(unsafe.Pointer(s.array.data))
	C.free(unsafe.Pointer(s.array.shape))
	C.free(unsafe.Pointer(s.array.name))
	C.free(unsafe.Pointer(s.array))
}

func run(path string) error {
	runtime.LockOSThread()
	var model *C.slim_model
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	if err := check(C.slim_load(file, nil, &model)); err != nil {
		return err
	}
	defer C.slim_free(model)
	method := C.CString("predict")
	defer C.free(unsafe.Pointer(method))
	var input C.slim_value
	if err := check(C.slim_input(model, method, 0, &input)); err != nil {
		return err
	}
	columns := int(input.shape[1])
	label, err := NewSession(model, "predict", columns)
	if err != nil {
		return err
	}
	defer label.Close()
	proba, err := NewSession(model, "predict_proba", columns)
	if err != nil {
		return err
	}
	defer proba.Close()

	words := bufio.NewScanner(os.Stdin)
	words.Split(bufio.ScanWords)
	row := make([]float64, 0, columns)
	for words.Scan() {
		number, err := strconv.ParseFloat(words.Text(), 64)
		if err != nil {
			return err
		}
		if row = append(row, number); len(row) < columns {
			continue
		}
		_, codes, err := label.Run(row)
		if err != nil {
			return err
		}
		fmt.Print(C.GoString(C.slim_label(model, 0, C.size_t(codes[0]))))
		values, _, err := proba.Run(row)
		if err != nil {
			return err
		}
		for _, p := range values {
			fmt.Print(" ", strconv.FormatFloat(p, 'g', -1, 64))
		}
		fmt.Println()
		row = row[:0]
	}
	return words.Err()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "predict FILE < ROWS")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
