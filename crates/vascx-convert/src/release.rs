//! A TorchScript release: archive, module tree, program text and configuration.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use vascx_format::HostTensor;

use crate::archive::Archive;
use crate::config::ReleaseConfig;
use crate::error::Result;
use crate::module_tree::{Constant, ScriptModule};
use crate::pickle::{self, Unknown};
use crate::tensor::{LastStorage, TensorRef};
use crate::torchscript::Program;

/// Largest `data.pkl`; 200 modules take about 50 kB.
const MAX_PICKLE: u64 = 32 << 20;
/// Largest configuration.
const MAX_CONFIG: u64 = 1 << 20;
/// All of `code/` together.
const MAX_CODE: u64 = 64 << 20;

/// An opened release. Tensors stay in the file until they are asked for.
pub(crate) struct Release<R> {
    archive: Archive<R>,
    pub(crate) root: ScriptModule,
    pub(crate) program: Program,
    pub(crate) config: ReleaseConfig,
    /// Things worth telling the user, such as unknown configuration keys.
    pub(crate) notes: Vec<String>,
    last_storage: LastStorage,
}

impl Release<BufReader<File>> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read(BufReader::new(File::open(path)?))
    }
}

impl<R: Read + Seek> Release<R> {
    pub(crate) fn read(reader: R) -> Result<Self> {
        let mut archive = Archive::open(reader)?;
        archive.check_byte_order()?;
        let root = {
            let bytes = archive.read("data.pkl", MAX_PICKLE)?;
            ScriptModule::from_pickle(&pickle::parse("data.pkl", &bytes, Unknown::Refused)?)?
        };
        let mut notes = Vec::new();
        let config = if archive.contains("extra/config.yaml") {
            let text = archive.read_text("extra/config.yaml", MAX_CONFIG)?;
            let (config, of_config) = ReleaseConfig::parse(&text)?;
            notes.extend(of_config);
            config
        } else {
            notes.push("no configuration (extra/config.yaml); defaults apply".into());
            ReleaseConfig::default()
        };
        let mut program = read_program(&mut archive)?;
        if archive.contains("constants.pkl") {
            let bytes = archive.read("constants.pkl", MAX_PICKLE)?;
            let pickle = pickle::parse("constants.pkl", &bytes, Unknown::Refused)?;
            let constants = Constant::from_pickle(&pickle, pickle.root(), 0, &mut 100_000)?;
            if let Constant::Tuple(items) | Constant::List(items) = constants {
                program.constants = items;
            }
        }
        Ok(Self {
            archive,
            root,
            program,
            config,
            notes,
            last_storage: LastStorage::default(),
        })
    }

    /// The values of a tensor of the tree.
    pub(crate) fn tensor(&mut self, path: &str, tensor: &TensorRef) -> Result<HostTensor> {
        self.stored(path, tensor, false)
    }

    /// The values of a tensor that the program text holds, `CONSTANTS.c0` and so on.
    pub(crate) fn constant(&mut self, path: &str, tensor: &TensorRef) -> Result<HostTensor> {
        self.last_storage = LastStorage::default();
        let values = self.stored(path, tensor, true);
        self.last_storage = LastStorage::default();
        values
    }

    fn stored(
        &mut self,
        path: &str,
        tensor: &TensorRef,
        from_constants: bool,
    ) -> Result<HostTensor> {
        let folder = if from_constants { "constants" } else { "data" };
        let entry = format!("{folder}/{}", tensor.storage.key);
        let archive = &mut self.archive;
        self.last_storage
            .gather(path, tensor, |length| archive.read_storage(&entry, length))
    }
}

fn read_program<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Program> {
    let modules: Vec<String> = archive
        .names()
        .filter_map(|name| name.strip_prefix("code/")?.strip_suffix(".py"))
        .map(str::to_owned)
        .collect();
    let mut program = Program::default();
    let mut remaining = MAX_CODE;
    for module in modules {
        let text = archive.read_text(&format!("code/{module}.py"), remaining)?;
        remaining -= text.len() as u64;
        program.add_file(&module, &text)?;
    }
    Ok(program)
}
