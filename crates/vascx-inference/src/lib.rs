//! Photographs in, answers out: decoding, preprocessing, sliding windows and the kinds of
//! VascX ensembles, on a device that is chosen at run time.
//!
//! ```no_run
//! use vascx_convert::Model;
//! use vascx_inference::{Device, Photograph, SegmentationEnsemble};
//!
//! let model = Model::open("weights/demo/artery_vein.pt")?;
//! let ensemble = SegmentationEnsemble::load(&model, Device::Cpu)?;
//! let photograph = Photograph::open("fundus.png")?;
//! for answer in ensemble.predict(&photograph)? {
//!     answer?.class_map.save("fundus_classes.png")?; // 8-bit class indices, original size
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Data flows one way: file → [`Photograph`] → network input → windows → members → answer → file.
//! [`Job`] does all of it for folders of photographs.

mod augment;
mod budget;
mod control;
mod decode;
mod device;
mod ensemble;
mod error;
mod field_of_view;
mod geometry;
mod guard;
mod inputs;
mod job;
mod memory;
mod output;
mod overlay;
mod photograph;
mod placement;
mod preprocess;
mod source;
mod stamp;
mod window;

pub use control::{Cancel, Warnings};
pub use decode::DecodeLimits;
pub use device::{Device, DeviceWork, Devices, keep_autotune};
pub use ensemble::{
    Answer, Answers, AnyEnsemble, BatchSize, Classification, ClassificationEnsemble, Embedding,
    EmbeddingEnsemble, HeatmapEnsemble, KeypointRule, Keypoints, KeypointsEnsemble, Landmarks,
    Logits, Maps, OutOfMemory, Overlaps, OverlapsEnsemble, PredictOptions, Regression,
    RegressionEnsemble, Segmentation, SegmentationEnsemble, TaskAnswer, TaskEnsemble, notice_panic,
};
pub use error::{Error, Result};
pub use field_of_view::{FieldOfView, Method};
pub use geometry::Point;
pub use guard::check_outputs;
pub use inputs::{DicomId, IdFrom, Input, InputOptions, Inputs, LeftOut, Shard};
pub use job::{
    CohortJob, Existing, FolderLock, Job, Merged, Models, Outcome, PreprocessJob, Role, Stages,
    Status, Summary, merge, write_tables,
};
pub use output::{Durability, remove_unfinished, write_tensor, write_whole};
pub use overlay::{EyeAnswers, Overlay, OverlayFormat, OverlayOptions, OverlayStyle};
pub use photograph::Photograph;
pub use preprocess::{Bounds, PreprocessMode, Preprocessed, preprocess};

pub use source::{Source, Sources};

#[cfg(test)]
mod test_backend {
    //! The backends that tests run on: quick ones on both for the CPU, the others where they are told to.

    /// Flex, unless `VASCX_TEST_DEVICE` is `ndarray`.
    pub(crate) fn device() -> crate::Device {
        match std::env::var("VASCX_TEST_DEVICE").as_deref() {
            Err(_) | Ok("cpu") => crate::Device::Cpu,
            Ok("ndarray") => crate::Device::NdArray,
            Ok(other) => panic!("VASCX_TEST_DEVICE is cpu or ndarray, not {other}"),
        }
    }

    /// Tests that are generic over the backend, on both.
    macro_rules! on_both_backends {
        ($($test:ident),* $(,)?) => {
            mod on_flex {
                $(#[test] fn $test() { super::$test::<burn::backend::Flex>(); })*
            }
            mod on_ndarray {
                $(#[test] fn $test() { super::$test::<burn::backend::NdArray>(); })*
            }
        };
    }
    pub(crate) use on_both_backends;
}
