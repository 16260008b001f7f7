//! What a file is, by its first bytes; names decide nothing.

use super::Result;

/// As many bytes as recognising takes.
pub(crate) const HEAD: usize = 512;

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Png,
    Jpeg,
    Tiff,
    Bmp,
    WebP,
    Dicom,
}

const READABLE: &str = "PNG, JPEG, TIFF, BMP, WebP and DICOM files are read";

/// Beginnings of files that people take for photographs, and what to call them.
const OTHERS: [(&[u8], &str); 21] = [
    (b"GIF8", "a GIF image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"II\xbc\x01", "a JPEG XR image"),
    (b"8BPS", "a Photoshop file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"P4\n", "a portable bitmap"),
    (b"P5", "a portable grey map (PGM)"),
    (b"P6", "a portable pixel map (PPM)"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (
        b"\0\x05\x16\x07",
        "the companion file that macOS writes beside files on other disks",
    ),
    (
        b"version https://git-lfs",
        "a Git LFS pointer; fetch the file itself with `git lfs pull`",
    ),
];

/// Beginnings of texts, in lower case.
const TEXTS: [(&str, &str); 5] = [
    ("<!doctype", "a web page, perhaps of a failed download"),
    ("<html", "a web page, perhaps of a failed download"),
    ("<head", "a web page, perhaps of a failed download"),
    ("<svg", "an SVG drawing"),
    ("<?xml", "an XML document"),
];

/// Brands of ISO media files (bytes 8 to 12, after `ftyp`).
const BRANDS: [(&[u8], &str); 4] = [
    (b"avi", "an AVIF image"),
    (b"hei", "a HEIC image"),
    (b"hev", "a HEIC image"),
    (b"mif", "a HEIF image"),
];

impl Kind {
    /// Recognises a file by its first [`HEAD`] bytes.
    ///
    /// # Errors
    /// What the file is instead, as far as that is known, and what can be read.
    pub(crate) fn of(head: &[u8]) -> Result<Self> {
        let begins = |magic: &[u8]| head.starts_with(magic);
        if head.get(128..132) == Some(b"DICM") || begins(b"\x02\0\0\0UL\x04\0") {
            // Behind a preamble, which may be that of another format; or the file header at once.
            Ok(Self::Dicom)
        } else if begins(b"\x89PNG\r\n\x1a\n") {
            Ok(Self::Png)
        } else if begins(b"\xff\xd8\xff") {
            Ok(Self::Jpeg)
        } else if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]
            .iter()
            .any(|magic| begins(*magic))
        {
            Ok(Self::Tiff)
        } else if begins(b"BM") && head.len() >= 26 {
            Ok(Self::Bmp)
        } else if begins(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            Ok(Self::WebP)
        } else {
            Err(Self::instead(head))
        }
    }

    fn instead(head: &[u8]) -> String {
        if head.is_empty() {
            return "the file is empty (0 bytes)".into();
        }
        if head.iter().all(|&byte| byte == 0) {
            return "the file holds zeros only, as after an interrupted copy".into();
        }
        // Pages in any encoding, cut anywhere.
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let start = text.chars().take(16).collect::<String>().to_lowercase();
        let known = OTHERS
            .iter()
            .find(|(magic, _)| head.starts_with(magic))
            .map(|(_, what)| what)
            .or_else(|| {
                let known = TEXTS.iter().find(|(tag, _)| start.starts_with(tag));
                known.map(|(_, what)| what)
            });
        let what = match known {
            Some(what) => what,
            None if head.get(4..8) == Some(b"ftyp") => {
                let brand = head.get(8..).unwrap_or_default();
                let known = BRANDS.iter().find(|(magic, _)| brand.starts_with(magic));
                known.map_or("a film", |(_, what)| what)
            }
            None if is_text(head) => "text",
            None => return format!("the content is of no known format; {READABLE}"),
        };
        format!("this is {what}; {READABLE}")
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG file",
            Self::Jpeg => "JPEG file",
            Self::Tiff => "TIFF file",
            Self::Bmp => "BMP file",
            Self::WebP => "WebP file",
            Self::Dicom => "DICOM file",
        }
    }
}

/// Text in UTF-8, perhaps cut inside of a letter.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(_) => head,
        Err(error) if error.error_len().is_none() => &head[..error.valid_up_to()],
        Err(_) => return false,
    };
    !text.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_other_files_are_named() {
        assert_eq!(Kind::of(b"II+\0\x08\0\0\0").unwrap(), Kind::Tiff);
        assert_eq!(Kind::of(b"RIFF\0\0\0\0WEBPVP8 ").unwrap(), Kind::WebP);
        for (head, named) in [
            (&b""[..], "empty"),
            (&[0; 512], "zeros"),
            (b"GIF89a\x01\0", "GIF"),
            (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
            (b"\0\0\0\x18ftypisom\0\0", "film"),
            (b"\n  <!DOCTYPE html>", "web page"),
            (b"\xef\xbb\xbf<HTML>", "web page"),
            (b"<!Doctype html><title>Mod\xe8le", "web page"),
            (
                "Befunde: M\u{fc}".as_bytes().split_last().unwrap().1,
                "text",
            ),
            (b"id,path\na,b\n", "text"),
            (b"\x01\x02\x03\xff", "no known format"),
        ] {
            let reason = Kind::of(head).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
    }
}
