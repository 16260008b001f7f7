//! State dicts: named tensors without a program, as `torch.save`, Lightning and safetensors write
//! them.

mod legacy;
mod names;
mod nested;
mod storages;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::inspect::TensorInfo;
use crate::pickle;
use crate::tensor::{HostTensor, TensorRef};
pub(crate) use names::members as members_by_name;
use storages::Storages;

/// Largest pickle. Training state (optimisers, loops) is larger than a module tree.
const MAX_PICKLE: u64 = 64 << 20;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, TensorRef>;

/// A state dict whose values stay in the file until they are asked for.
pub(crate) struct StateDict<R> {
    storages: Storages<R>,
    /// One state dict per ensemble member, prefixes stripped.
    pub(crate) members: Vec<Tensors>,
    /// What was stripped and left out.
    pub(crate) notes: Vec<String>,
    /// f32 values that may still be gathered: tensors that share a storage could otherwise
    /// multiply it without bound.
    budget: u64,
}

impl<R: Read + Seek> StateDict<R> {
    /// Reads the names and shapes of a file in any of the formats.
    pub(crate) fn read(mut reader: R) -> Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        let mut start = Vec::new();
        reader.by_ref().take(16).read_to_end(&mut start)?;
        reader.rewind()?;
        let mut notes = Vec::new();
        let (storages, tensors) = if start.starts_with(b"PK") {
            let mut archive = Archive::open(reader)?;
            archive.check_byte_order()?;
            let bytes = archive.read("data.pkl", MAX_PICKLE)?;
            let pickle = pickle::parse("data.pkl", &bytes)?;
            let tensors = nested::tensors(&pickle, &mut notes)?;
            (Storages::archive(archive), tensors)
        } else if legacy::is_legacy(&start) {
            let (pickle, storages) = legacy::read(reader, length)?;
            (storages, nested::tensors(&pickle, &mut notes)?)
        } else if start.get(8) == Some(&b'{') {
            Storages::safetensors(reader)?
        } else {
            return Err(Error::Foreign {
                expected: "PyTorch ZIP archive, legacy torch.save file or safetensors file",
                reason: "it begins like none of them".into(),
            });
        };
        let members = members_by_name(tensors, &mut notes)?;
        Ok(Self {
            storages,
            members,
            notes,
            // At most one value per byte, twice over for tensors that share a storage.
            budget: length.saturating_mul(2).saturating_add(1 << 20),
        })
    }

    /// Name, shape and stored element type of every tensor.
    pub(crate) fn stored(&self) -> Vec<TensorInfo> {
        let several = self.members.len() > 1;
        let members = self.members.iter().enumerate();
        members
            .flat_map(|(member, tensors)| {
                tensors.iter().map(move |(name, tensor)| TensorInfo {
                    name: if several {
                        format!("members.{member}.{name}")
                    } else {
                        name.clone()
                    },
                    shape: tensor.shape.clone(),
                    dtype: tensor.storage.dtype.name(),
                })
            })
            .collect()
    }

    /// The values of a tensor of a member.
    pub(crate) fn tensor(&mut self, member: usize, name: &str) -> Result<HostTensor> {
        let tensor = self.members[member]
            .get(name)
            .ok_or_else(|| Error::tensor(name, "is missing"))?;
        let elements = tensor
            .validate()
            .map_err(|reason| Error::tensor(name, reason))?;
        self.budget = self
            .budget
            .checked_sub(elements as u64)
            .ok_or_else(|| Error::tensor(name, "more values than this file can hold"))?;
        self.storages.tensor(name, tensor)
    }
}
