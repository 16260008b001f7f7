//! Running through an ONNX graph: sizes are computed as numbers, everything else becomes nodes.

use std::collections::HashMap;
use std::path::Path;

use vascx_graph::{
    Arg, Cast, Cat, DType, Full, GraphBuilder, Literal, Meta, Node as VertexNode, Op, Permute,
};

use super::message::{Attribute, Graph, Node, Port};
use super::stored::Stored;
use crate::lowering;
use crate::tensor::{DType as Element, shortest};

/// Why a graph cannot be imported.
pub(super) type Outcome<T> = std::result::Result<T, String>;

/// Longest list of numbers that is followed one by one; shapes are a handful.
pub(super) const MAX_NUMBERS: usize = 64;
/// Unsupported operators that are listed.
const MAX_LISTED: usize = 100;

/// A value of the graph.
#[derive(Clone, Debug)]
pub(super) enum Value<'m> {
    Tensor(usize),
    /// A scalar or a short vector of numbers, such as a shape.
    Numbers {
        items: Vec<Arg>,
        vector: bool,
    },
    /// Rows of numbers of equal length, as PyTorch's older exporter turns paddings around in.
    Table(Vec<Vec<Arg>>),
    /// A tensor of the file, until something uses it.
    Stored(&'m Stored<'m>),
    Sequence(Vec<Value<'m>>),
    /// What an unsupported operator would have given.
    Unknown,
}

impl Value<'_> {
    /// A number alone.
    pub(super) fn scalar(number: Arg) -> Self {
        let (items, vector) = (vec![number], false);
        Self::Numbers { items, vector }
    }

    /// A vector of numbers.
    pub(super) fn vector(items: Vec<Arg>) -> Self {
        let vector = true;
        Self::Numbers { items, vector }
    }

    /// Whether it is a scalar or short vector whose numbers can be known.
    pub(super) fn is_numbers(&self) -> bool {
        match self {
            Self::Numbers { .. } => true,
            Self::Stored(stored) => stored.shape.len() <= 1 && stored.elements <= MAX_NUMBERS,
            _ => false,
        }
    }

    pub(super) fn is_vector(&self) -> bool {
        match self {
            Self::Numbers { vector, .. } => *vector,
            Self::Stored(stored) => !stored.shape.is_empty(),
            _ => false,
        }
    }
}

pub(super) struct Importer<'m> {
    pub(super) builder: GraphBuilder,
    pub(super) opset: i64,
    folder: Option<&'m Path>,
    values: HashMap<&'m str, Value<'m>>,
    /// Nodes of the tensors of the file that are used.
    loaded: HashMap<*const Stored<'m>, usize>,
    /// Where the graph's weights come from, in their order.
    pub(super) sources: Vec<&'m Stored<'m>>,
    names: HashMap<*const Stored<'m>, &'m str>,
    pub(super) unsupported: Vec<String>,
    /// Tensors that are attributes of `Constant` nodes, by output.
    constants: &'m HashMap<&'m str, Stored<'m>>,
}

/// One node with the values that go in.
pub(super) struct Call<'c, 'm> {
    pub(super) node: &'m Node<'m>,
    pub(super) inputs: &'c [Option<Value<'m>>],
}

impl<'m> Call<'_, 'm> {
    pub(super) fn attribute(&self, name: &str) -> Option<&'m Attribute<'m>> {
        self.node.attributes.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.int)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f64 {
        shortest(self.attribute(name).map_or(default, |a| a.float))
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'m [i64]> {
        self.attribute(name).map(|a| &a.ints[..])
    }

    /// The integers of an attribute as numbers of the graph.
    pub(super) fn numbers(&self, name: &str) -> Option<Vec<Arg>> {
        let ints = self.ints(name)?.iter();
        Some(ints.map(|&value| Arg::int(value)).collect())
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> &'m str {
        let text = |a: &'m Attribute| std::str::from_utf8(a.text).unwrap_or_default();
        self.attribute(name).map_or(default, text)
    }

    /// An input, if it is given.
    pub(super) fn get(&self, index: usize) -> Option<&Value<'m>> {
        self.inputs.get(index)?.as_ref()
    }

    pub(super) fn need(&self, index: usize) -> Outcome<&Value<'m>> {
        self.get(index)
            .ok_or_else(|| format!("lacks input {index}"))
    }
}

impl<'m> Importer<'m> {
    pub(super) fn new(
        builder: GraphBuilder,
        opset: i64,
        weights: &'m HashMap<&'m str, Stored<'m>>,
        constants: &'m HashMap<&'m str, Stored<'m>>,
        folder: Option<&'m Path>,
    ) -> Self {
        let named = weights.iter().chain(constants);
        let values = weights
            .iter()
            .map(|(&name, stored)| (name, Value::Stored(stored)));
        Self {
            builder,
            opset,
            folder,
            values: values.collect(),
            loaded: HashMap::new(),
            sources: Vec::new(),
            names: named
                .map(|(&name, stored)| (std::ptr::from_ref(stored), name))
                .collect(),
            unsupported: Vec::new(),
            constants,
        }
    }

    /// Runs through the graph; gives the node of the answer.
    pub(super) fn run(
        &mut self,
        graph: &'m Graph<'m>,
        input: &'m Port<'m>,
        output: &Port,
    ) -> Outcome<usize> {
        let mut image = 0;
        if input.has_channels_last() {
            image = self.node(Permute(vec![0, 2, 3, 1]), vec![Arg::Node(0)])?;
        }
        self.values.insert(input.name, Value::Tensor(image));
        self.nodes(graph)?;
        if !self.unsupported.is_empty() {
            return Ok(0);
        }
        let answer = self.computed(output.name)?;
        let answer = self.tensor(&answer)?;
        // A file that does not tell answers as it is asked.
        let last = match output.shape.len() {
            4 => output.has_channels_last(),
            _ => input.has_channels_last(),
        };
        if last && self.builder.shape(answer)?.len() == 4 {
            return self.permuted(answer, &[0, 3, 1, 2]);
        }
        Ok(answer)
    }

    /// The axes of a tensor in another order; turning them around and back is nothing.
    pub(super) fn permuted(&mut self, node: usize, axes: &[usize]) -> Outcome<usize> {
        if let VertexNode::Call(Op::Permute(Permute(before)), arguments) = self.builder.node(node)
            && let [Arg::Node(source)] = arguments[..]
            && before.len() == axes.len()
        {
            let both: Vec<usize> = axes.iter().map(|&axis| before[axis]).collect();
            if both.iter().enumerate().all(|(index, &axis)| index == axis) {
                return Ok(source);
            }
            return self.node(Permute(both), vec![Arg::Node(source)]);
        }
        self.node(Permute(axes.to_vec()), vec![Arg::Node(node)])
    }

    /// A value that is there.
    pub(super) fn computed(&self, name: &str) -> Outcome<Value<'m>> {
        let value = self.values.get(name).cloned();
        value.ok_or_else(|| format!("`{name}` is never computed"))
    }

    /// Runs through the nodes of a graph, or of a branch of one.
    pub(super) fn nodes(&mut self, graph: &'m Graph<'m>) -> Outcome<()> {
        for node in &graph.nodes {
            let place = format!("{} (node `{}`)", node.operator, node.name);
            let mut inputs = Vec::with_capacity(node.inputs.len());
            for name in &node.inputs {
                inputs.push(match self.values.get(name) {
                    Some(value) => Some(value.clone()),
                    None if name.is_empty() => None,
                    None => return Err(format!("{place}: `{name}` is used before it is computed")),
                });
            }
            let unknown = |value: &Option<Value>| matches!(value, Some(Value::Unknown));
            let outputs = if inputs.iter().any(unknown) {
                Vec::new()
            } else {
                let call = Call {
                    node,
                    inputs: &inputs,
                };
                self.operator(&call)
                    .map_err(|reason| format!("{place}: {reason}"))?
            };
            let mut outputs = outputs.into_iter();
            for name in &node.outputs {
                let value = outputs.next().unwrap_or(Value::Unknown);
                if self.values.insert(name, value).is_some() && !name.is_empty() {
                    return Err(format!("{place}: `{name}` is computed twice"));
                }
            }
        }
        Ok(())
    }

    /// Notes an operator that there is nothing for.
    #[allow(clippy::unnecessary_wraps)] // Ends the lowering of an operator like any other result.
    pub(super) fn unsupported(&mut self, call: &Call, what: &str) -> Outcome<Vec<Value<'m>>> {
        let domain = match call.node.domain {
            "" => String::new(),
            domain => format!("{domain}."),
        };
        let text = format!(
            "{domain}{}{what} (node `{}`)",
            call.node.operator, call.node.name
        );
        if self.unsupported.len() < MAX_LISTED && !self.unsupported.contains(&text) {
            self.unsupported.push(text);
        }
        Ok(Vec::new())
    }

    /// Calls an operator and gives the argument for the next.
    pub(super) fn then(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<Arg> {
        self.builder.call(op, arguments)
    }

    pub(super) fn emit(
        &mut self,
        op: impl Into<Op>,
        arguments: Vec<Arg>,
    ) -> Outcome<Vec<Value<'m>>> {
        let argument = self.then(op, arguments)?;
        Ok(vec![self.value(argument)])
    }

    /// What an argument is as a value.
    pub(super) fn value(&self, argument: Arg) -> Value<'m> {
        match argument {
            Arg::Node(node) if matches!(self.builder.meta(node), Meta::Tensor { .. }) => {
                Value::Tensor(node)
            }
            number => Value::scalar(number),
        }
    }

    /// The node of a value that must be a tensor.
    pub(super) fn tensor(&mut self, value: &Value<'m>) -> Outcome<usize> {
        match self.argument(value)? {
            Arg::Node(node) if matches!(self.builder.meta(node), Meta::Tensor { .. }) => Ok(node),
            number => {
                let dtype = self.builder.dtype(number);
                self.node(Full(dtype), vec![number])
            }
        }
    }

    pub(super) fn node(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<usize> {
        lowering::node(&mut self.builder, op, arguments)
    }

    /// The value as an argument of an operator: scalars stay numbers.
    pub(super) fn argument(&mut self, value: &Value<'m>) -> Outcome<Arg> {
        match value {
            Value::Tensor(node) => Ok(Arg::Node(*node)),
            Value::Numbers {
                items,
                vector: false,
            } => Ok(items[0]),
            Value::Numbers { items, .. } => {
                let mut parts = Vec::with_capacity(items.len());
                for &item in items {
                    let dtype = self.builder.dtype(item);
                    parts.push(Arg::Node(self.node(Full(dtype), vec![item, Arg::int(1)])?));
                }
                self.then(Cat(0), parts)
            }
            Value::Stored(stored) if stored.shape.is_empty() => {
                let numbers = self.numbers(value)?;
                numbers
                    .first()
                    .copied()
                    .ok_or_else(|| "an empty scalar".into())
            }
            Value::Stored(stored) => self.load(stored).map(Arg::Node),
            Value::Table(_) => Err("rows of numbers stand where a tensor is needed".into()),
            Value::Sequence(_) => Err("a sequence stands where a tensor is needed".into()),
            Value::Unknown => Err("an unknown value".into()),
        }
    }

    fn load(&mut self, stored: &'m Stored<'m>) -> Outcome<usize> {
        let key = std::ptr::from_ref(stored);
        if let Some(&node) = self.loaded.get(&key) {
            return Ok(node);
        }
        let name = self.names.get(&key).copied().unwrap_or_default();
        let node = if stored.is_float() {
            // Names that the exporter made up differ from member to member.
            let made_up = name.starts_with("onnx::") || !name.contains('.');
            let name = if made_up { "" } else { name };
            let node = self
                .builder
                .parameter(name.to_owned(), stored.shape.clone())?;
            self.sources.push(stored);
            node
        } else {
            let integers = || {
                let integers = stored.integers(self.folder);
                integers.map_err(|error| error.to_string())
            };
            let is_bool = stored.dtype == Element::Bool;
            lowering::table(&mut self.builder, name, is_bool, &stored.shape, integers)?
        };
        self.loaded.insert(key, node);
        Ok(node)
    }

    /// The numbers of a scalar or vector.
    pub(super) fn numbers(&mut self, value: &Value<'m>) -> Outcome<Vec<Arg>> {
        match value {
            Value::Numbers { items, .. } => Ok(items.clone()),
            Value::Stored(stored) if value.is_numbers() => {
                let failed = |error: crate::error::Error| error.to_string();
                Ok(if stored.is_float() {
                    let values = stored.values(self.folder).map_err(failed)?.values;
                    let literal = |value: f32| Literal::Float(shortest(value));
                    values.into_iter().map(literal).map(Arg::Literal).collect()
                } else {
                    let is_bool = stored.dtype == Element::Bool;
                    let literal = |value: i64| {
                        Arg::Literal(if is_bool {
                            Literal::Bool(value != 0)
                        } else {
                            Literal::Int(value)
                        })
                    };
                    let values = stored.integers(self.folder).map_err(failed)?;
                    values.into_iter().map(literal).collect()
                })
            }
            Value::Tensor(node) => match self.builder.meta(*node) {
                Meta::Number(_) => Ok(vec![Arg::Node(*node)]),
                Meta::Tensor { .. } => Err("a size depends on the values of a tensor".into()),
            },
            _ => Err("numbers are needed".into()),
        }
    }

    /// Integers that the graph is pinned to.
    pub(super) fn integers(&mut self, value: &Value<'m>) -> Outcome<Vec<i64>> {
        let numbers = self.numbers(value)?;
        numbers
            .into_iter()
            .map(|number| self.integer(number))
            .collect()
    }

    pub(super) fn integer(&mut self, number: Arg) -> Outcome<i64> {
        let value = self.builder.pin(number)?;
        value
            .as_i64()
            .ok_or_else(|| format!("{value:?} is no integer"))
    }

    /// The axes of an attribute or, in later versions, of an input.
    pub(super) fn axes(&mut self, call: &Call<'_, 'm>, input: usize) -> Outcome<Option<Vec<i64>>> {
        match (call.ints("axes"), call.get(input)) {
            (Some(axes), _) => Ok(Some(axes.to_vec())),
            (None, Some(value)) => self.integers(value).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The tensor of a `Constant` node.
    pub(super) fn constant(&self, call: &Call<'_, 'm>) -> Option<Value<'m>> {
        let constants = self.constants;
        let output = call.node.outputs.first()?;
        constants.get(output).map(Value::Stored)
    }

    pub(super) fn cast(&mut self, argument: Arg, dtype: DType) -> Outcome<Arg> {
        if self.builder.dtype(argument) == dtype {
            return Ok(argument);
        }
        self.then(Cast(dtype), vec![argument])
    }
}

/// The standard's numbers for element types.
pub(super) fn dtype_of(code: i64) -> Outcome<DType> {
    match code {
        1 | 10 | 11 | 16 => Ok(DType::Float),
        2..=7 | 12 | 13 => Ok(DType::Int),
        9 => Ok(DType::Bool),
        other => Err(format!("elements of type {other} are not supported")),
    }
}
