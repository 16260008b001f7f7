//! RLE, the run-length coding of DICOM (PS3.5, annex G).

use super::super::Result;
use super::super::limits::zeros;

/// Decodes a frame of `pixels` pixels to interleaved samples of `size` bytes, the lowest first.
///
/// The stream holds a plane for every byte of every sample, the highest byte of a sample first.
pub(super) fn decode(stream: &[u8], pixels: usize, samples: usize, size: usize) -> Result<Vec<u8>> {
    let number = |index: usize| {
        let bytes = stream.get(4 * index..).and_then(<[u8]>::first_chunk);
        bytes
            .map(|bytes| u32::from_le_bytes(*bytes) as usize)
            .ok_or_else(damaged)
    };
    let planes = samples * size;
    if number(0)? != planes {
        return Err(damaged());
    }
    let mut bytes = zeros((pixels * planes) as u64)?;
    for plane in 0..planes {
        let start = number(1 + plane)?;
        // The last plane ends with the stream.
        let end = if plane + 1 < planes {
            number(2 + plane)?
        } else {
            stream.len()
        };
        let runs = stream.get(start..end).ok_or_else(damaged)?;
        let (sample, byte) = (plane / size, size - 1 - plane % size);
        let places = bytes.iter_mut().skip(sample * size + byte).step_by(planes);
        unpack(runs, places)?;
    }
    Ok(bytes)
}

/// Fills all places.
fn unpack<'a>(
    mut runs: &[u8],
    mut places: impl ExactSizeIterator<Item = &'a mut u8>,
) -> Result<()> {
    while places.len() > 0 {
        let (&code, rest) = runs.split_first().ok_or_else(damaged)?;
        runs = rest;
        match code {
            0..=127 => {
                let count = usize::from(code) + 1;
                let (literal, rest) = runs.split_at_checked(count).ok_or_else(damaged)?;
                for (place, &value) in places.by_ref().take(count).zip(literal) {
                    *place = value;
                }
                runs = rest;
            }
            128 => {}
            129.. => {
                let (&value, rest) = runs.split_first().ok_or_else(damaged)?;
                for place in places.by_ref().take(257 - usize::from(code)) {
                    *place = value;
                }
                runs = rest;
            }
        }
    }
    Ok(())
}

fn damaged() -> String {
    "the DICOM file's run-length data is damaged".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals_fill_planes() {
        // Two samples of one byte, three pixels: a run of three, then a literal and a run.
        let mut stream = vec![0; 64];
        stream[0] = 2;
        stream[4] = 64;
        stream[8] = 66;
        stream.extend([254, 7, 0, 1, 128, 255, 9]);
        assert_eq!(decode(&stream, 3, 2, 1).unwrap(), [7, 1, 7, 9, 7, 9]);
        assert!(decode(&stream, 4, 2, 1).is_err());
        assert!(decode(&stream[..60], 3, 2, 1).is_err());
        assert!(decode(&stream, 3, 1, 1).is_err());
    }
}
