//! The graph itself, and what its shapes come to.

use serde::{Deserialize, Serialize};

use crate::{DType, Literal, Meta, Op};

/// Most nodes of a graph; thousand-layer networks have some ten thousand.
pub const MAX_NODES: usize = 1 << 18;

/// A network as a list of operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// What images it takes.
    pub input: GraphInput,
    /// What it answers.
    pub output: GraphOutput,
    /// Names and shapes of the weights.
    pub parameters: Vec<GraphParameter>,
    /// In the order they run.
    pub nodes: Vec<Node>,
    /// Numbers on which the program's decisions depended: the graph holds only where they are
    /// these.
    pub guards: Vec<Guard>,
}

/// The images a graph takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphInput {
    /// A shape `[N, C, H, W]` it is known to take.
    pub example: [usize; 4],
    /// The only batch size it takes, if its program has one baked in.
    pub batch: Option<usize>,
    /// The only height and width it takes, if its program has them baked in.
    pub sides: Option<[usize; 2]>,
    /// Height and width must be multiples of this.
    pub divisor: usize,
}

/// What a graph answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphOutput {
    /// The node with the answer.
    pub node: usize,
    /// Classes, keypoints or values.
    pub channels: usize,
    /// Whether the answer is a map `[N, C, H, W]` rather than a vector `[N, D]`.
    pub spatial: bool,
}

/// A weight of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphParameter {
    /// Dotted path in the network it comes from.
    pub name: String,
    /// Sizes per axis, one axis at least.
    pub shape: Vec<usize>,
}

/// One value of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    /// The image `[N, C, H, W]`.
    Input,
    /// The weight of this index.
    Parameter(usize),
    /// An operator and its arguments.
    Call(Op, Vec<Arg>),
}

/// An argument of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Arg {
    /// The value of an earlier node.
    Node(usize),
    /// A number.
    Literal(Literal),
}

impl Arg {
    /// An integer.
    pub fn int(value: i64) -> Self {
        Self::Literal(Literal::Int(value))
    }

    /// A float.
    pub fn float(value: f64) -> Self {
        Self::Literal(Literal::Float(value))
    }
}

/// The value of the node of this number.
impl From<usize> for Arg {
    fn from(node: usize) -> Self {
        Self::Node(node)
    }
}

/// A number that must have this value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The node with the number.
    pub node: usize,
    /// What it must be.
    pub value: Literal,
}

/// Why a graph does not take an image, or contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A node's arguments do not fit.
    #[error("operation {node} ({operator}): {reason}")]
    Node {
        /// Index of the node.
        node: usize,
        /// Name of its operator.
        operator: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The graph contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// A decision of the program would have gone the other way.
    #[error(
        "the program decides by the size of the image: it was converted where value {node} is \
         {expected}, but here it is {found}; give it images of the size it was traced with"
    )]
    Guard {
        /// Index of the node.
        node: usize,
        /// As converted.
        expected: String,
        /// As found.
        found: String,
    },
}

impl Graph {
    /// Shapes, element types and numbers of all nodes for an image of `shape`.
    ///
    /// # Errors
    /// When the graph does not take such an image.
    pub fn infer(&self, shape: [usize; 4]) -> Result<Vec<Meta>, GraphError> {
        let mut metas: Vec<Meta> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let failed = |operator, reason| GraphError::Node {
                node: index,
                operator,
                reason,
            };
            let meta = match node {
                Node::Input => {
                    Meta::tensor(DType::Float, shape).map_err(|reason| failed("Input", reason))?
                }
                Node::Parameter(parameter) => {
                    let parameter = self.parameters.get(*parameter);
                    let parameter = parameter
                        .ok_or_else(|| failed("Parameter", "there is no such weight".into()))?;
                    Meta::tensor(DType::Float, parameter.shape.as_slice())
                        .map_err(|reason| failed("Parameter", reason))?
                }
                Node::Call(op, arguments) => {
                    let arguments = arguments
                        .iter()
                        .map(|argument| match argument {
                            Arg::Literal(literal) => Ok(Meta::Number(*literal)),
                            Arg::Node(node) => metas
                                .get(*node)
                                .cloned()
                                .ok_or_else(|| failed(op.name(), "runs too early".into())),
                        })
                        .collect::<Result<Vec<_>, _>>()?;
                    op.infer(&arguments)
                        .map_err(|reason| failed(op.name(), reason))?
                }
            };
            metas.push(meta);
        }
        for guard in &self.guards {
            let found = metas.get(guard.node);
            if found != Some(&Meta::Number(guard.value)) {
                return Err(GraphError::Guard {
                    node: guard.node,
                    expected: guard.value.to_string(),
                    found: match found {
                        Some(Meta::Number(number)) => number.to_string(),
                        _ => "no number".into(),
                    },
                });
            }
        }
        Ok(metas)
    }

    /// Checks that the graph takes its example, with the answer it announces.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn validate(&self) -> Result<(), GraphError> {
        let invalid = |reason: String| Err(GraphError::Invalid(reason));
        if self.nodes.len() > MAX_NODES || self.parameters.len() > MAX_NODES {
            return invalid(format!("more than {MAX_NODES} operations or weights"));
        }
        if self.input.divisor == 0 || self.input.batch == Some(0) {
            return invalid("sizes of zero".into());
        }
        let metas = self.infer(self.input.example)?;
        let announced = |shape: &[usize]| self.announces(shape, self.input.example[0]);
        match metas.get(self.output.node) {
            Some(Meta::Tensor {
                dtype: DType::Float,
                shape,
            }) if announced(shape) => Ok(()),
            other => invalid(format!("the answer is {other:?}")),
        }
    }

    /// Whether an answer for so many images has the shape that the output says.
    fn announces(&self, answer: &[usize], images: usize) -> bool {
        answer.len() == if self.output.spatial { 4 } else { 2 }
            && answer[..2] == [images, self.output.channels]
    }

    /// Checks that images of a shape can be run.
    ///
    /// # Errors
    /// With the operation that does not take them.
    pub fn check_input(&self, shape: [usize; 4]) -> Result<(), GraphError> {
        let images = self.input.batch.unwrap_or(shape[0]);
        let metas = self.infer([images, shape[1], shape[2], shape[3]])?;
        // Programs may compute sizes of their own, and with them another answer.
        let node = self.output.node;
        match &metas[node] {
            Meta::Tensor { shape, .. } if self.announces(shape, images) => Ok(()),
            answer => Err(GraphError::Node {
                node,
                operator: "Output",
                reason: format!("the answer is {answer:?}"),
            }),
        }
    }

    /// Height and width of the maps that images of a shape are answered with, or those of the
    /// images where the answer is no map.
    ///
    /// # Errors
    /// With the operation that does not take them.
    pub fn answered_sides(&self, shape: [usize; 4]) -> Result<[usize; 2], GraphError> {
        let images = self.input.batch.unwrap_or(shape[0]);
        match &self.infer([images, shape[1], shape[2], shape[3]])?[self.output.node] {
            Meta::Tensor { shape, .. } if shape.len() == 4 => Ok([shape[2], shape[3]]),
            _ => Ok([shape[2], shape[3]]),
        }
    }
}
