package main

import (
	"context"
	"errors"
)

func (o *options) profileOne(context.Context, []group) error { return errors.New("later") }
