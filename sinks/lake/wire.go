package lake

import (
	"errors"

	"github.com/ClickHouse/ch-go/proto"
	libcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// wireColumn sends a column of ours in a block of the client library.
type wireColumn struct {
	libcolumn.Interface
	*nativeColumn
}

func (c wireColumn) Name() string         { return c.name }
func (c wireColumn) Type() libcolumn.Type { return libcolumn.Type(c.typ) }
func (c wireColumn) Rows() int            { return c.data.Rows() }

func (c wireColumn) Encode(b *proto.Buffer) { c.data.EncodeColumn(b) }

// ReadStatePrefix and WriteStatePrefix make it a column.CustomSerialization: names
// have a state.
func (c wireColumn) ReadStatePrefix(*proto.Reader) error {
	return errors.New("a column that is only sent")
}

func (c wireColumn) WriteStatePrefix(b *proto.Buffer) error {
	if d, ok := c.data.(proto.Preparable); ok {
		if err := d.Prepare(); err != nil {
			return err
		}
	}
	if d, ok := c.data.(proto.StateEncoder); ok {
		d.EncodeState(b)
	}
	return nil
}
