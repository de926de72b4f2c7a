// Package jsonstream walks large JSON answers without holding them in memory.
package jsonstream

import (
	"encoding/json"
	"fmt"
)

// Each walks an array; item decodes one element.
func Each(in *json.Decoder, item func() error) error { return walk(in, '[', item) }

// Fields walks an object; field decodes the value of one name.
func Fields(in *json.Decoder, field func(name string) error) error {
	return walk(in, '{', func() error {
		token, err := in.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder lets only strings stand here
		return field(name)
	})
}

// Skip passes over one value, of any size.
func Skip(in *json.Decoder) error {
	depth := 0
	for {
		token, err := in.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func walk(in *json.Decoder, open json.Delim, item func() error) error {
	token, err := in.Token()
	if err != nil {
		return err
	}
	if token != open {
		return fmt.Errorf("%v stands where %v should", token, open)
	}
	for in.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err = in.Token()
	return err
}
