//! Model files by their name on the Hugging Face hub, such as `Eyened/vascx:fovea/fovea_may26.pt`.
//!
//! A file comes from the hub's cache on this machine, the one that the Python package
//! `huggingface_hub` keeps, or is downloaded into it: resumed when a download was cut, checked against
//! the hub's SHA-256, and moved to its final name only when whole. The environment variables are that
//! package's: `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN`.
//!
//! ```no_run
//! use vascx_hub::{Hub, HubName};
//!
//! let name: HubName = "Eyened/vascx:fovea/fovea_may26.pt".parse()?;
//! let path = Hub::from_environment()?.fetch(&name, |progress| {
//!     eprintln!("{} of {} bytes", progress.received, progress.total);
//! })?;
//! println!("{}", path.display());
//! # Ok::<(), vascx_hub::Error>(())
//! ```

mod cache;
mod download;
mod error;
mod name;
mod request;
mod settings;

pub use download::Progress;
pub use error::{Error, Result};
pub use name::HubName;
pub use settings::Hub;
