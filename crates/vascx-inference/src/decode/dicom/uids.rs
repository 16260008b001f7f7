//! Names of transfer syntaxes (PS3.6, annex A).

pub(super) const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
pub(super) const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
pub(super) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
/// Retired, and still in archives.
pub(super) const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub(super) const RLE: &str = "1.2.840.10008.1.2.5";
pub(super) const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
pub(super) const JPEG_EXTENDED: &str = "1.2.840.10008.1.2.4.51";
pub(super) const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.57";
/// Of the first predictor, the usual one.
pub(super) const JPEG_LOSSLESS_FIRST: &str = "1.2.840.10008.1.2.4.70";
pub(super) const JPEG_2000_LOSSLESS: &str = "1.2.840.10008.1.2.4.90";
pub(super) const JPEG_2000: &str = "1.2.840.10008.1.2.4.91";

/// What a transfer syntax that is not read is called.
pub(super) fn unread(uid: &str) -> String {
    let name = match uid {
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => "JPEG-LS",
        "1.2.840.10008.1.2.4.92" | "1.2.840.10008.1.2.4.93" => "JPEG 2000 of several components",
        "1.2.840.10008.1.2.4.100" | "1.2.840.10008.1.2.4.101" => "MPEG-2",
        "1.2.840.10008.1.2.4.102" | "1.2.840.10008.1.2.4.103" => "MPEG-4",
        "1.2.840.10008.1.2.4.107" | "1.2.840.10008.1.2.4.108" => "HEVC",
        "1.2.840.10008.1.2.4.110" | "1.2.840.10008.1.2.4.111" | "1.2.840.10008.1.2.4.112" => {
            "JPEG XL"
        }
        "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" | "1.2.840.10008.1.2.4.203" => {
            "High-Throughput JPEG 2000"
        }
        _ => "an unknown transfer syntax",
    };
    format!(
        "DICOM files in {name} are not read; export the picture uncompressed, as JPEG or JPEG 2000"
    )
}
