//! What is wrong with a TIFF file, in words instead of numbers of the format.

use std::io::ErrorKind;

use tiff::tags::SampleFormat;
use tiff::{TiffError, TiffUnsupportedError};

use super::super::Result;

/// An error of the `tiff` crate in the user's words.
pub(super) fn words(error: &TiffError) -> String {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the TIFF file is cut short".into()
        }
        TiffError::LimitsExceeded | TiffError::IntSizeError => {
            "the TIFF file declares more data than it can hold".into()
        }
        TiffError::UnsupportedError(TiffUnsupportedError::ChromaSubsampling) => {
            "the TIFF file holds YCbCr with fewer colour than brightness samples, which is read only \
             with JPEG compression; save it as RGB"
                .into()
        }
        TiffError::UnsupportedError(TiffUnsupportedError::UnknownInterpretation) => {
            "the TIFF file holds colours of a kind that is not read (a camera's raw image?); save it \
             as RGB"
                .into()
        }
        TiffError::UnsupportedError(TiffUnsupportedError::UnsupportedSampleFormat(formats)) => {
            let named = match formats.first() {
                Some(SampleFormat::Int) => "signed integers",
                Some(SampleFormat::Void) => "values of an undefined type",
                _ => "values of mixed or unknown types",
            };
            format!("the TIFF file holds {named}; save it with 8 or 16 bits per channel")
        }
        TiffError::UnsupportedError(TiffUnsupportedError::InconsistentBitsPerSample(bits)) => {
            format!("the TIFF file's channels have different depths ({bits:?} bits); save it as RGB")
        }
        TiffError::UnsupportedError(other) => {
            format!("the TIFF file is of a kind that is not read: {other}")
        }
        other => format!("the TIFF file is damaged: {other}"),
    }
}

/// Whether a compression is read.
///
/// # Errors
/// Its name, for one that is not.
pub(super) fn check_compression(compression: u16) -> Result<()> {
    let name = match compression {
        1 | 4 | 5 | 7 | 8 | 32773 | 32946 => return Ok(()),
        2 => "CCITT Huffman",
        3 => "CCITT fax, group 3",
        6 => "old-style JPEG",
        9 | 10 => "JBIG",
        32809 => "ThunderScan",
        33003 | 33004 | 33005 | 34712 => "JPEG 2000",
        34676 | 34677 => "SGI LogLuv",
        34887 => "LERC",
        34892 => "lossy JPEG of DNG",
        34925 => "LZMA",
        34933 => "PNG",
        34934 | 22610 => "JPEG XR",
        50000 => "Zstandard",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        _ => {
            return Err(format!(
                "the TIFF file has a compression that is not known (number {compression}); save it \
                 uncompressed or with LZW, Deflate, PackBits or JPEG"
            ));
        }
    };
    Err(format!(
        "TIFF files with {name} compression are not read; save it uncompressed or with LZW, Deflate, \
         PackBits or JPEG"
    ))
}
