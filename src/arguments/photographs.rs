//! Arguments of commands that read photographs and write folders of results.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vascx::inference::{DecodeLimits, DicomId, Durability, Existing, IdFrom, InputOptions};

use super::choices::{DURABILITIES, IDS, one_of};

/// Of commands that read photographs.
#[derive(Debug, Args)]
pub(crate) struct PhotographArguments {
    /// Photographs, folders of photographs, or lists (CSV with the columns id,path or path).
    #[arg(required_unless_present = "files_from")]
    pub(crate) inputs: Vec<PathBuf>,
    /// File with more of them, one on a line; `-` reads standard input.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) files_from: Option<PathBuf>,
    #[command(flatten)]
    found: InputArguments,
}

/// How photographs are found, named and limited.
#[derive(Debug, Args)]
pub(crate) struct InputArguments {
    /// Also take photographs of subfolders; ids then begin with the subfolder's name and `__`.
    #[arg(short, long)]
    recursive: bool,
    /// What names the results of photographs that no list gives an id.
    #[arg(long, default_value = "stem", value_parser = one_of(IDS))]
    ids: IdFrom,
    /// What names the results of DICOM files.
    #[arg(long, value_name = "ID", default_value = "filename")]
    dicom_id: DicomIdArgument,
    /// Largest photograph, in pixels; what declares more fails before memory is taken.
    #[arg(long, value_name = "N", default_value_t = DecodeLimits::default().max_pixels)]
    max_pixels: u64,
}

/// As people type it; the second is the attribute's own name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DicomIdArgument {
    Filename,
    #[value(name = "SOPInstanceUID", alias = "sopinstanceuid")]
    SopInstanceUid,
}

impl PhotographArguments {
    pub(crate) fn options(&self) -> InputOptions {
        self.found.options()
    }

    pub(crate) fn limits(&self) -> DecodeLimits {
        self.found.limits()
    }
}

impl InputArguments {
    pub(crate) fn options(&self) -> InputOptions {
        let dicom_id = match self.dicom_id {
            DicomIdArgument::Filename => DicomId::FileName,
            DicomIdArgument::SopInstanceUid => DicomId::SopInstanceUid,
        };
        InputOptions {
            recursive: self.recursive,
            ids: self.ids,
            dicom_id,
        }
    }

    pub(crate) fn limits(&self) -> DecodeLimits {
        DecodeLimits::default().with_max_pixels(self.max_pixels)
    }
}

/// Of commands that tell how photographs fare.
#[derive(Debug, Args)]
pub(crate) struct VerbosityArguments {
    /// Print errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Say how long each photograph took, beside a progress bar, too, and which ones an earlier run
    /// has done.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

/// Of commands that write a folder of results.
#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// Leave out what an earlier run of the same model with the same settings has done; results of
    /// other photographs stay.
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the results of another model, other settings or other photographs.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Whether results survive a loss of power (full) or only the end of the program (fast), which
    /// may save time on network file systems.
    #[arg(long, default_value = "full", value_parser = one_of(DURABILITIES))]
    pub(crate) durability: Durability,
    /// Memory that photographs may take while they are under way, such as 500MB or 2GB; one that
    /// takes more alone fails [default: half of what is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub(crate) memory: Option<u64>,
}

/// Bytes, or thousands, millions or thousands of millions of them.
fn parse_memory(text: &str) -> Result<u64, String> {
    let units = [
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let upper = text.trim().to_uppercase();
    let parts = units
        .iter()
        .find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = parts.unwrap_or((upper.as_str(), 1));
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 => Ok((number * f64::from(bytes)) as u64),
        _ => Err("expected a size such as 500MB or 2GB".into()),
    }
}

impl OutputArguments {
    pub(crate) fn existing(&self) -> Existing {
        match (self.resume, self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        }
    }
}
