//! Filling a network's parameters by name.
//!
//! Names are the dotted paths of struct fields, e.g. `members.0.encoder.1.layers.0.conv.weight`.
//! Enum variants do not appear in them. Loading is total: every parameter of the network is asked
//! for once, and random initial values are never computed.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData, backend::Backend};

/// Name and shape of one parameter (or running statistic) of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Dotted path.
    pub name: String,
    /// Shape in burn's layout: linear weights are `[inputs, outputs]`, the transpose of PyTorch's.
    pub shape: Vec<usize>,
}

/// Every parameter of a module, in definition order.
pub fn parameter_specs<B: Backend, M: Module<B>>(module: &M) -> Vec<ParameterSpec> {
    let mut collector = Collector {
        path: Path::default(),
        specs: Vec::new(),
    };
    module.visit(&mut collector);
    collector.specs
}

/// The values of every parameter by name.
pub(crate) fn parameter_values<B: Backend, M: Module<B>>(
    module: &M,
) -> BTreeMap<String, TensorData> {
    let mut reader = Reader {
        path: Path::default(),
        values: BTreeMap::new(),
    };
    module.visit(&mut reader);
    reader.values
}

/// Replaces every parameter of `module` by what `source` gives for its specification: the values
/// in row-major order, as many as the shape holds.
///
/// # Errors
/// The first error of `source`; the remaining parameters are then not asked for.
///
/// # Panics
/// When `source` returns data of another shape than it was asked for.
pub fn load_parameters<B: Backend, M: Module<B>, E>(
    module: M,
    source: impl FnMut(&ParameterSpec) -> Result<TensorData, E>,
) -> Result<M, E> {
    let mut loader = Loader {
        path: Path::default(),
        source,
        error: None,
    };
    let module = module.map(&mut loader);
    match loader.error {
        None => Ok(module),
        Some(error) => Err(error),
    }
}

/// Whether names below this kind of module are part of a path. Variants are not, nor is the field
/// that holds the weights of a graph, which have full paths of their own.
fn is_named(container: &str) -> bool {
    !container.starts_with("Enum:") && container != "Struct:GraphNetwork"
}

/// Where in the module tree a visitor stands.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        if is_named(container) {
            self.0.push(name.to_owned());
        }
    }

    fn exit(&mut self, container: &str) {
        if is_named(container) {
            self.0.pop();
        }
    }

    fn spec<B: Backend, const D: usize>(&self, param: &Param<Tensor<B, D>>) -> ParameterSpec {
        ParameterSpec {
            name: self.0.join("."),
            shape: param.lazy_shape().to_vec(),
        }
    }
}

struct Collector {
    path: Path,
    specs: Vec<ParameterSpec>,
}

impl<B: Backend> ModuleVisitor<B> for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.specs.push(self.path.spec(param));
    }
}

struct Reader {
    path: Path,
    values: BTreeMap<String, TensorData>,
}

impl<B: Backend> ModuleVisitor<B> for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let name = self.path.0.join(".");
        self.values.insert(name, param.val().into_data());
    }
}

struct Loader<S, E> {
    path: Path,
    source: S,
    error: Option<E>,
}

impl<B, S, E> ModuleMapper<B> for Loader<S, E>
where
    B: Backend,
    S: FnMut(&ParameterSpec) -> Result<TensorData, E>,
{
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if self.error.is_some() {
            return param;
        }
        match (self.source)(&self.path.spec(&param)) {
            Ok(data) => {
                let shape = data.shape.clone();
                let device = param.lazy_device();
                let tensor = if shape.num_elements() == 0 {
                    // Burn reads sizes of 0 as “the same as before”.
                    Tensor::from_data(data, &device)
                } else {
                    // Flat, since CubeCL copies row by row where there are rows.
                    let length = [shape.num_elements()];
                    let data = TensorData::from_bytes(data.bytes, length, data.dtype);
                    Tensor::<B, 1>::from_data(data, &device).reshape(shape)
                };
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::nn::LinearConfig;

    use super::*;

    #[test]
    fn a_parameter_may_be_empty() {
        let layer = LinearConfig::new(2, 0).with_bias(false);
        let layer = layer.init::<Flex>(&Default::default());
        let empty = |spec: &ParameterSpec| {
            let data = TensorData::new(Vec::<f32>::new(), spec.shape.clone());
            Ok::<_, std::convert::Infallible>(data)
        };
        let layer = load_parameters(layer, empty).unwrap();
        assert_eq!(layer.weight.dims(), [2, 0]);
    }
}
