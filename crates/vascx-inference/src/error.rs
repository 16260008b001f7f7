//! The one error type of this crate.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use vascx_format::Task;
use vascx_models::Precision;

use crate::inputs::LeftOut;

/// Why a photograph could not be read or an ensemble could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model could not be opened or loaded.
    #[error(transparent)]
    Model(#[from] vascx_format::Error),
    /// The model is for another task than the ensemble it was loaded into.
    #[error("the model does {found}, not {expected}", found = found.name(), expected = expected.name())]
    WrongTask {
        /// What the ensemble does.
        expected: Task,
        /// What the model was made for.
        found: Task,
    },
    /// A photograph could not be decoded.
    #[error("{path}: {reason}")]
    Photograph {
        /// The image file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// The bytes of an image file could not be decoded.
    #[error("the photograph cannot be decoded: {0}")]
    PhotographBytes(String),
    /// Pixels given from memory do not fit their size.
    #[error("{bytes} bytes are no RGB image of {width} × {height} pixels")]
    PixelCount {
        /// Bytes given.
        bytes: usize,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A photograph cannot be brought to a square of this side.
    #[error("a square of side {0} is not possible; use 1 to 16384 pixels")]
    SquareSize(usize),
    /// A map that is to be brought back to its photograph is no square.
    #[error("a map of {width} × {height} pixels is no square of a photograph")]
    MapShape {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A tensor cannot be an input.
    #[error("a tensor of shape {shape:?} cannot be predicted: {reason}")]
    Tensor {
        /// Its shape.
        shape: Vec<usize>,
        /// What is wrong.
        reason: String,
    },
    /// The network gave infinities or no numbers at all.
    #[error(
        "the network's answer is not finite{}",
        if *.0 == Precision::F32 {
            "; are its weights damaged, or was it trained in another normalisation?"
        } else {
            ", which may be for want of range: f32 has more"
        }
    )]
    NotFinite(Precision),
    /// A model does not fit the step it was given for.
    #[error("this model cannot do the step {role}: {reason}")]
    Role {
        /// The step.
        role: crate::job::Role,
        /// What is wrong.
        reason: String,
    },
    /// A job without any model.
    #[error("there is no model for any step that was asked for")]
    NoModels,
    /// Photographs have other channels than the network takes.
    #[error(
        "the network takes {network} channels, photographs give it {photographs}; it can be run on \
         tensors only"
    )]
    Channels {
        /// What it takes.
        network: usize,
        /// What it would get.
        photographs: usize,
    },
    /// The network's program does not take that many images at once.
    #[error("the network does not take {count} images at once: {reason}; choose smaller batches")]
    Pass {
        /// Images, or windows.
        count: usize,
        /// Why not.
        reason: String,
    },
    /// The device does not compute in this element type.
    #[error("the device does not compute in {}; all do in f32", .0.name())]
    Precision(Precision),
    /// The device's memory does not suffice even for the smallest step.
    #[error(transparent)]
    OutOfMemory(#[from] crate::ensemble::OutOfMemory),
    /// Somebody cancelled before the input was begun.
    #[error("cancelled before it was begun")]
    Cancelled,
    /// Nothing to predict.
    #[error("no photographs were given; the list of inputs is empty")]
    NoPhotographs,
    /// Nothing can be processed in chunks of nothing.
    #[error("the batch size must be at least 1, for photographs as for windows")]
    ZeroBatchSize,
    /// A folder, manifest or list of inputs is unusable.
    #[error("{path}: {reason}")]
    Input {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A folder of inputs holds no photograph.
    #[error("{folder}: the folder holds no photograph{}", .left_out.clause())]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
        /// What it holds instead.
        left_out: LeftOut,
    },
    /// Two inputs would write the same output.
    #[error(
        "two inputs have the id `{id}`: {first} and {second}; give them distinct ids in a CSV file \
         with the columns id,path"
    )]
    DuplicateId {
        /// The id.
        id: String,
        /// The input that had it first.
        first: PathBuf,
        /// The other input.
        second: PathBuf,
    },
    /// An id cannot name a file on every system.
    #[error("{path}: the id `{id}` {problem}; give another one in a CSV file with the columns id,path",
            id = .id.escape_debug())]
    Id {
        /// The id.
        id: String,
        /// Its input.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two inputs would write the same output where file systems tell less apart than here.
    #[error(
        "the ids `{}` and `{}` differ only in capitals or in how letters are composed, so that their \
         results are one file on Windows or macOS: {first} and {second}; give them other ids in a CSV \
         file with the columns id,path", .ids[0], .ids[1]
    )]
    TwinIds {
        /// Both ids.
        ids: [String; 2],
        /// The input that had it first.
        first: PathBuf,
        /// The other input.
        second: PathBuf,
    },
    /// A result could not be written.
    #[error("cannot write {path}: {source}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the operating system or encoder says.
        source: io::Error,
    },
    /// A photograph would take more memory than may be used for photographs.
    #[error(
        "{path}: {width} × {height} pixels take about {needed} MB, and photographs may take {budget} MB"
    )]
    TooLarge {
        /// The image file.
        path: PathBuf,
        /// Width in pixels, as its header says; 0 where that is not known.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Millions of bytes.
        needed: u64,
        /// Millions of bytes.
        budget: u64,
    },
    /// An output would be written over an input.
    #[error(
        "{output} would be written over, and it is the input {input}; choose another output folder"
    )]
    OutputIsInput {
        /// The output.
        output: PathBuf,
        /// The same file as it was given as an input.
        input: PathBuf,
    },
    /// The output folder has no journal, and something is where an output is to be.
    #[error(
        "{0} is there already, and no journal says that an earlier run wrote it; choose another \
         output folder"
    )]
    Occupied(PathBuf),
    /// The output folder holds the results of another job.
    #[error("{folder} holds the results of another job ({reason}); choose another output folder")]
    OtherJob {
        /// The output folder.
        folder: PathBuf,
        /// In what the jobs differ.
        reason: String,
    },
    /// Another process writes to the output folder.
    #[error(
        "{folder} is being written to by {holder}; wait for it or choose another output folder"
    )]
    InUse {
        /// The output folder.
        folder: PathBuf,
        /// Process and host.
        holder: String,
    },
    /// A job had to stop before its end. What is done is recorded.
    #[error("{source}; stopped with {done} photographs done and recorded")]
    Stopped {
        /// Photographs done, by this run or an earlier one.
        done: usize,
        /// Why.
        source: Box<Error>,
    },
    /// The device is unknown or not part of this build.
    #[error("{0}")]
    Device(String),
}

impl Error {
    pub(crate) fn output(path: &Path, source: io::Error) -> Self {
        Self::Output {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether it says nothing about other files: a name that the file system does not take, a folder
    /// in the way. Not so a disk that is full or a folder that has gone.
    pub(crate) fn concerns_one_file(&self) -> bool {
        match self {
            Self::Output { source, .. } => !matches!(
                source.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::NotFound
            ),
            _ => true,
        }
    }

    pub(crate) fn input(path: &Path, reason: impl ToString) -> Self {
        Self::Input {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Does something for one photograph. A panic, which would be a fault of a decoder or of ours, is that
/// photograph's, too.
pub(crate) fn alone<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Photograph {
            path: path.to_owned(),
            reason: format!("a fault of this program: {}", panic_message(&*panic)),
        })
    })
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_failure_of_its_photograph() {
        let path = Path::new("odd.tif");
        let divide = |by: u32| alone(path, || Ok(std::hint::black_box(7) / by));
        assert_eq!(divide(7).unwrap(), 1);
        let message = divide(0).unwrap_err().to_string();
        assert!(message.starts_with("odd.tif: a fault"), "{message}");
        assert!(message.contains("divide by zero"), "{message}");
    }
}
