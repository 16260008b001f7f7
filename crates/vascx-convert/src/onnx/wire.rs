//! The wire format of protocol buffers: numbered fields, read in place. Nothing is allocated and
//! nothing recurses, so that a hostile file costs no more than its own length.

use std::result;

/// A field's content; groups, which ONNX has none of, are refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

pub(super) type Result<T> = result::Result<T, String>;

/// The fields of a message in order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("ends early")?;
            self.0 = rest;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits".into())
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("ends early")?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn field(&mut self) -> Result<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.fixed()?),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let (bytes, rest) = self.0.split_at_checked(length).ok_or("ends early")?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(self.fixed()?),
            other => return Err(format!("wire type {other}")),
        };
        Ok((tag >> 3, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(format!("{other:?} where bytes are expected")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text that is not UTF-8".into())
    }

    pub(super) fn int(self) -> Result<i64> {
        match self {
            Self::Varint(value) => Ok(value.cast_signed()),
            other => Err(format!("{other:?} where a number is expected")),
        }
    }

    /// A repeated integer: one, or several packed.
    pub(super) fn ints(self, into: &mut Vec<i64>) -> Result<()> {
        match self {
            Self::Bytes(packed) => {
                let mut fields = Fields(packed);
                while !fields.0.is_empty() {
                    into.push(fields.varint()?.cast_signed());
                }
                Ok(())
            }
            single => {
                into.push(single.int()?);
                Ok(())
            }
        }
    }

    /// The bytes of a repeated number of fixed size.
    pub(super) fn fixed_into(self, into: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Bytes(packed) => into.extend_from_slice(packed),
            Self::Fixed32(bytes) => into.extend(bytes),
            Self::Fixed64(bytes) => into.extend(bytes),
            Self::Varint(_) => return Err("a varint where a float is expected".into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_type_reads() {
        let bytes = [8, 0xac, 2, 0x12, 2, b'h', b'i', 0x1d, 1, 2, 3, 4];
        let fields: Vec<_> = Fields(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0], (1, Field::Varint(300)));
        assert_eq!(fields[1].1.text().unwrap(), "hi");
        assert_eq!(fields[2], (3, Field::Fixed32([1, 2, 3, 4])));
        let negative = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let (_, field) = Fields(&negative).next().unwrap().unwrap();
        assert_eq!(field.int().unwrap(), -1);
    }

    #[test]
    fn damage_is_an_error_and_ends_the_message() {
        for bytes in [
            &[8][..],
            &[8, 0x80],
            &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            &[0x12, 200, 1],
            &[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            &[0x0b],
            &[0x0d, 1],
        ] {
            let fields: Vec<_> = Fields(bytes).collect();
            assert!(fields.len() == 1 && fields[0].is_err(), "{bytes:?}");
        }
    }
}
