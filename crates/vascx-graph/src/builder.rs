//! Growing a graph node by node while an example of every shape is at hand.

use std::collections::HashMap;

use super::meta::{DType, Literal, Meta};
use super::ops::shape::Size;
use super::{Arg, Graph, GraphInput, GraphOutput, GraphParameter, Guard, MAX_NODES, Node, Op};

/// Builds a [`Graph`]. Every node is inferred for the example image as it is added, and whatever
/// does not depend on the image or a weight becomes a literal at once.
#[derive(Debug)]
pub struct GraphBuilder {
    example: [usize; 4],
    nodes: Vec<Node>,
    metas: Vec<Meta>,
    parameters: Vec<GraphParameter>,
    guards: Vec<Guard>,
    sizes: HashMap<(usize, usize), usize>,
}

impl GraphBuilder {
    /// A graph of nothing but an image, which is node 0.
    ///
    /// # Errors
    /// When there can be no image of this shape.
    pub fn new(example: [usize; 4]) -> Result<Self, String> {
        Ok(Self {
            example,
            nodes: vec![Node::Input],
            metas: vec![Meta::tensor(DType::Float, example)?],
            parameters: Vec::new(),
            guards: Vec::new(),
            sizes: HashMap::new(),
        })
    }

    /// What is known of a node for the example.
    pub fn meta(&self, node: usize) -> &Meta {
        &self.metas[node]
    }

    /// How a node is computed.
    pub fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// What is known of an argument for the example.
    pub fn argument(&self, argument: Arg) -> Meta {
        match argument {
            Arg::Node(node) => self.metas[node].clone(),
            Arg::Literal(literal) => Meta::Number(literal),
        }
    }

    /// Adds a weight; gives its node.
    ///
    /// # Errors
    /// When there can be no tensor of this shape, or the graph is too large.
    pub fn parameter(&mut self, name: String, shape: Vec<usize>) -> Result<usize, String> {
        let meta = Meta::tensor(DType::Float, shape.as_slice())?;
        self.parameters.push(GraphParameter { name, shape });
        self.add(Node::Parameter(self.parameters.len() - 1), meta)
    }

    /// Adds an operation; gives its node, or the number when only literals go in.
    ///
    /// # Errors
    /// When the arguments do not fit, or the graph is too large.
    pub fn call(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Result<Arg, String> {
        let op = op.into();
        let metas: Vec<Meta> = arguments.iter().map(|&arg| self.argument(arg)).collect();
        let meta = op.infer(&metas)?;
        let literal = arguments.iter().all(|arg| matches!(arg, Arg::Literal(_)));
        if let (Meta::Number(number), true) = (&meta, literal) {
            return Ok(Arg::Literal(*number));
        }
        self.add(Node::Call(op, arguments), meta).map(Arg::Node)
    }

    /// Sizes of a tensor for the example.
    ///
    /// # Errors
    /// When it is a number.
    pub fn shape(&self, tensor: impl Into<Arg>) -> Result<Vec<usize>, String> {
        match self.argument(tensor.into()) {
            Meta::Tensor { shape, .. } => Ok(shape),
            Meta::Number(_) => Err("a number stands where a tensor is needed".into()),
        }
    }

    /// Element type of a tensor or number.
    pub fn dtype(&self, argument: impl Into<Arg>) -> DType {
        self.argument(argument.into()).dtype()
    }

    /// The sizes of all axes; see [`Self::size`].
    ///
    /// # Errors
    /// When it is a number.
    pub fn sizes(&mut self, tensor: impl Into<Arg>) -> Result<Vec<Arg>, String> {
        let tensor = tensor.into();
        let rank = self.shape(tensor)?.len();
        (0..rank).map(|axis| self.size(tensor, axis)).collect()
    }

    /// The size of an axis: a literal for a weight, else a number of the graph.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn size(&mut self, tensor: impl Into<Arg>, axis: usize) -> Result<Arg, String> {
        let Arg::Node(node) = tensor.into() else {
            return Err("a number has no size".into());
        };
        if let (Node::Parameter(_), Some(&size)) =
            (&self.nodes[node], self.metas[node].shape()?.get(axis))
        {
            return Ok(Arg::int(size as i64));
        }
        if let Some(&known) = self.sizes.get(&(node, axis)) {
            return Ok(Arg::Node(known));
        }
        let size = self.call(Size(axis), vec![Arg::Node(node)])?;
        if let Arg::Node(id) = size {
            self.sizes.insert((node, axis), id);
        }
        Ok(size)
    }

    /// The number an argument has for the example. The graph then holds only where it has it.
    ///
    /// # Errors
    /// When the argument is a tensor.
    pub fn pin(&mut self, argument: Arg) -> Result<Literal, String> {
        let value = self.argument(argument).number()?;
        if let Arg::Node(node) = argument {
            let guard = Guard { node, value };
            if !self.guards.contains(&guard) {
                self.guards.push(guard);
            }
        }
        Ok(value)
    }

    fn add(&mut self, node: Node, meta: Meta) -> Result<usize, String> {
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("more than {MAX_NODES} operations"));
        }
        self.nodes.push(node);
        self.metas.push(meta);
        Ok(self.nodes.len() - 1)
    }

    /// The finished graph that answers with the tensor of a node.
    ///
    /// # Errors
    /// When that is neither a map `[N, C, H, W]` nor a vector `[N, D]` of floats.
    pub fn finish(&self, output: usize) -> Result<Graph, String> {
        let (channels, spatial) = match &self.metas[output] {
            Meta::Tensor {
                dtype: DType::Float,
                shape,
            } if matches!(shape.len(), 2 | 4) => (shape[1], shape.len() == 4),
            other => {
                return Err(format!(
                    "answers with {other:?}, neither [N, C, H, W] nor [N, D]"
                ));
            }
        };
        Ok(Graph {
            input: GraphInput {
                example: self.example,
                batch: None,
                sides: None,
                divisor: 1,
            },
            output: GraphOutput {
                node: output,
                channels,
                spatial,
            },
            parameters: self.parameters.clone(),
            nodes: self.nodes.clone(),
            guards: self.guards.clone(),
        })
    }
}
