//! Separating what depends on weights alone, so that it is computed once, at conversion.

use burn::tensor::backend::Backend;
use burn::tensor::{TensorData, TensorPrimitive};

use crate::operator::Call;
use crate::value::Value;
use crate::{Arg, Cast, DType, Graph, GraphError, GraphParameter, Meta, Node, Op};

/// Tensors that no weight goes into are kept as computations above this many elements: a mask is
/// quicker made than stored.
const MAX_STORED: usize = 1 << 16;

/// The part of a graph that does not depend on the image; see [`split_constants`].
#[derive(Clone, Debug)]
pub struct ConstantPart {
    source: Graph,
    metas: Vec<Meta>,
    /// Nodes that become weights, ascending.
    results: Vec<usize>,
}

/// What becomes of a node.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Nothing beside constants uses it.
    Gone,
    /// Computed on every run.
    WeightCache,
    /// Computed once, a weight from then on.
    Stored,
}

/// Splits a graph: float tensors computed from weights and literals alone become weights of the
/// first result; the second computes their values.
///
/// # Errors
/// When the graph does not take its own example.
pub fn split_constants(graph: &Graph) -> Result<(Graph, ConstantPart), GraphError> {
    let metas = graph.infer(graph.input.example)?;
    let fates = fates(graph, &metas);
    let mut rest = Graph {
        nodes: Vec::new(),
        parameters: Vec::new(),
        ..graph.clone()
    };
    let mut moved = vec![0; graph.nodes.len()];
    let mut results = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        moved[index] = rest.nodes.len();
        let node = match (fates[index], node) {
            (Fate::Gone, _) => continue,
            (Fate::Stored, _) => {
                let name = unused_name(graph, index, &rest.parameters);
                // A tensor without axes is stored with one.
                let shape = match metas[index].shape() {
                    Ok([]) | Err(_) => vec![1],
                    Ok(shape) => shape.to_vec(),
                };
                results.push(index);
                rest.parameters.push(GraphParameter { name, shape });
                Node::Parameter(rest.parameters.len() - 1)
            }
            (Fate::WeightCache, Node::Call(op, arguments)) => {
                let moved = |argument: &Arg| match *argument {
                    Arg::Node(used) => match &metas[used] {
                        Meta::Number(number) if fates[used] == Fate::Gone => Arg::Literal(*number),
                        _ => Arg::Node(moved[used]),
                    },
                    literal @ Arg::Literal(_) => literal,
                };
                match &metas[index] {
                    // A number that only guards or the answer need.
                    Meta::Number(number)
                        if !arguments
                            .iter()
                            .any(|a| matches!(a, Arg::Node(n) if fates[*n] != Fate::Gone)) =>
                    {
                        Node::Call(Op::Cast(Cast(number.dtype())), vec![Arg::Literal(*number)])
                    }
                    _ => Node::Call(op.clone(), arguments.iter().map(moved).collect()),
                }
            }
            (Fate::WeightCache, other) => other.clone(),
        };
        rest.nodes.push(node);
    }
    rest.output.node = moved[graph.output.node];
    for guard in &mut rest.guards {
        guard.node = moved[guard.node];
    }
    let part = ConstantPart {
        source: graph.clone(),
        metas,
        results,
    };
    Ok((rest, part))
}

fn fates(graph: &Graph, metas: &[Meta]) -> Vec<Fate> {
    let count = graph.nodes.len();
    let (mut constant, mut weighty) = (vec![false; count], vec![false; count]);
    for (index, node) in graph.nodes.iter().enumerate() {
        (constant[index], weighty[index]) = match node {
            Node::Input => (false, false),
            Node::Parameter(_) => (true, true),
            Node::Call(_, arguments) => {
                let used = || {
                    arguments.iter().filter_map(|argument| match argument {
                        Arg::Node(used) => Some(*used),
                        Arg::Literal(_) => None,
                    })
                };
                (
                    used().all(|node| constant[node]),
                    used().any(|node| weighty[node]),
                )
            }
        };
    }
    let mut wanted = vec![false; count];
    wanted[graph.output.node] = true;
    for guard in &graph.guards {
        wanted[guard.node] = true;
    }
    let mut fates = vec![Fate::Gone; count];
    for index in (0..count).rev() {
        let storable = match &metas[index] {
            Meta::Tensor {
                dtype: DType::Float,
                shape,
            } => weighty[index] || shape.iter().product::<usize>() <= MAX_STORED,
            _ => false,
        };
        if constant[index] {
            if !wanted[index] {
                continue;
            }
            if storable {
                fates[index] = Fate::Stored;
                continue;
            }
        }
        fates[index] = Fate::WeightCache;
        if let Node::Call(_, arguments) = &graph.nodes[index] {
            for argument in arguments {
                if let Arg::Node(used) = argument
                    && !(constant[*used] && matches!(metas[*used], Meta::Number(_)))
                {
                    wanted[*used] = true;
                }
            }
        }
    }
    fates
}

/// The name of the first weight that goes into a node, made unique.
fn unused_name(graph: &Graph, mut node: usize, taken: &[GraphParameter]) -> String {
    let base = loop {
        match &graph.nodes[node] {
            Node::Input => break "image".to_owned(),
            Node::Parameter(weight) => break graph.parameters[*weight].name.clone(),
            Node::Call(_, arguments) => {
                let first = arguments.iter().find_map(|argument| match argument {
                    Arg::Node(used) => Some(*used),
                    Arg::Literal(_) => None,
                });
                match first {
                    Some(first) => node = first,
                    None => break "constant".to_owned(),
                }
            }
        }
    };
    let free = |name: &String| taken.iter().all(|weight| weight.name != *name);
    if free(&base) {
        return base;
    }
    let mut numbered = (1..).map(|number| format!("{base}_{number}"));
    numbered
        .find(free)
        .expect("there are more numbers than weights")
}

impl ConstantPart {
    /// The values of the new weights, from those of the old.
    ///
    /// # Errors
    /// The first error of `source`, which gives the old weight of an index, row by row.
    pub fn evaluate<B: Backend, E>(
        &self,
        device: &B::Device,
        mut source: impl FnMut(usize) -> Result<Vec<f32>, E>,
    ) -> Result<Vec<Vec<f32>>, E> {
        let graph = &self.source;
        let mut last_use = vec![0; graph.nodes.len()];
        let mut needed = vec![false; graph.nodes.len()];
        for &result in &self.results {
            needed[result] = true;
        }
        for index in (0..graph.nodes.len()).rev() {
            if let (true, Node::Call(_, arguments)) = (needed[index], &graph.nodes[index]) {
                for argument in arguments {
                    if let Arg::Node(used) = argument {
                        needed[*used] = true;
                        last_use[*used] = last_use[*used].max(index);
                    }
                }
            }
        }
        let mut values: Vec<Option<Value<B>>> = vec![None; graph.nodes.len()];
        let mut results = Vec::with_capacity(self.results.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            if !needed[index] {
                continue;
            }
            let asked = self.results.binary_search(&index).is_ok();
            let value = match (node, &self.metas[index]) {
                (_, Meta::Number(number)) => Value::Number(*number),
                (Node::Parameter(weight), Meta::Tensor { shape, .. }) => {
                    let values = source(*weight)?;
                    if asked && last_use[index] == 0 {
                        // Most weights are used as they are.
                        results.push(values);
                        continue;
                    }
                    let data = TensorData::new(values, shape.clone());
                    Value::Float(B::float_from_data(data, device))
                }
                (Node::Call(op, arguments), Meta::Tensor { shape, .. }) => {
                    let arguments = arguments
                        .iter()
                        .map(|argument| match *argument {
                            Arg::Literal(literal) => Value::Number(literal),
                            Arg::Node(used) => values[used].clone().expect("computed before"),
                        })
                        .collect();
                    op.run(Call {
                        arguments,
                        shape,
                        device,
                    })
                }
                (Node::Input, _) => unreachable!("constants do not depend on the image"),
            };
            if asked {
                results.push(host(value.clone()));
            }
            values[index] = (last_use[index] > 0).then_some(value);
            if let Node::Call(_, arguments) = node {
                for argument in arguments {
                    if let Arg::Node(used) = argument
                        && last_use[*used] == index
                    {
                        values[*used] = None;
                    }
                }
            }
        }
        Ok(results)
    }
}

/// The values of a float tensor, row by row.
fn host<B: Backend>(value: Value<B>) -> Vec<f32> {
    let count = value.shape().iter().product();
    let flat = TensorPrimitive::Float(value.reshape(&[count]).float());
    burn::tensor::Tensor::<B, 1>::from_primitive(flat)
        .into_data()
        .convert::<f32>()
        .to_vec()
        .expect("converted to f32")
}
