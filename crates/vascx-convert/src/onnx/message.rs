//! The messages of an ONNX file that an import needs, borrowed from its bytes.

use super::wire::{Field, Fields, Result};

/// Operations, weights or their arguments; more than any network has.
const MAX_ITEMS: usize = 1 << 18;
/// Graphs inside the attributes of graphs.
const MAX_DEPTH: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Model<'a> {
    pub(super) graph: Graph<'a>,
    /// Version of the standard operators.
    pub(super) opset: i64,
    /// Keys and texts of `metadata_props`.
    pub(super) metadata: Vec<(&'a str, &'a str)>,
    /// Whether the file defines operators of its own.
    pub(super) functions: Vec<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) weights: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<Port<'a>>,
    pub(super) outputs: Vec<Port<'a>>,
}

/// An input or output.
#[derive(Debug, Default)]
pub(super) struct Port<'a> {
    pub(super) name: &'a str,
    /// Sizes per axis; `None` for those that vary.
    pub(super) shape: Vec<Option<i64>>,
}

#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) domain: &'a str,
    pub(super) operator: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) float: f32,
    pub(super) int: i64,
    pub(super) text: &'a [u8],
    pub(super) ints: Vec<i64>,
    pub(super) floats: Vec<u8>,
    pub(super) tensor: Option<Tensor<'a>>,
    /// A branch of an `If`.
    pub(super) graph: Option<Graph<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) sizes: Vec<i64>,
    /// The standard's number of the element type.
    pub(super) code: i64,
    pub(super) raw: Option<&'a [u8]>,
    /// Floats of 32 or 64 bits, little-endian.
    pub(super) floats: Vec<u8>,
    pub(super) ints: Vec<i64>,
    /// Where the values are when they are in another file.
    pub(super) external: Vec<(&'a str, &'a str)>,
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<()> {
    if list.len() >= MAX_ITEMS {
        return Err(format!("more than {MAX_ITEMS} entries in a list"));
    }
    list.push(item);
    Ok(())
}

fn pair(bytes: &[u8]) -> Result<(&str, &str)> {
    let mut pair = ("", "");
    for field in Fields(bytes) {
        match field? {
            (1, field) => pair.0 = field.text()?,
            (2, field) => pair.1 = field.text()?,
            _ => {}
        }
    }
    Ok(pair)
}

impl<'a> Model<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut model = Self::default();
        let mut graph = None;
        for field in Fields(bytes) {
            match field? {
                (7, field) => graph = Some(field.bytes()?),
                (8, field) => model.opset = model.opset.max(opset(field.bytes()?)?),
                (14, field) => push(&mut model.metadata, pair(field.bytes()?)?)?,
                (25, field) => push(&mut model.functions, function(field.bytes()?)?)?,
                _ => {}
            }
        }
        model.graph = Graph::parse(graph.ok_or("has no graph")?, 0)?;
        Ok(model)
    }
}

/// Version of the standard operators; zero for those of another domain.
fn opset(bytes: &[u8]) -> Result<i64> {
    let (mut domain, mut version) = ("", 0);
    for field in Fields(bytes) {
        match field? {
            (1, field) => domain = field.text()?,
            (2, field) => version = field.int()?,
            _ => {}
        }
    }
    Ok(if matches!(domain, "" | "ai.onnx") {
        version
    } else {
        0
    })
}

fn function(bytes: &[u8]) -> Result<&str> {
    let mut name = "";
    for field in Fields(bytes) {
        if let (1, field) = field? {
            name = field.text()?;
        }
    }
    Ok(name)
}

impl<'a> Graph<'a> {
    fn parse(bytes: &'a [u8], depth: usize) -> Result<Self> {
        if depth > MAX_DEPTH {
            return Err(format!("graphs nest deeper than {MAX_DEPTH} levels"));
        }
        let mut graph = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, field) => push(&mut graph.nodes, Node::parse(field.bytes()?, depth)?)?,
                (5, field) => push(&mut graph.weights, Tensor::parse(field.bytes()?)?)?,
                (11, field) => push(&mut graph.inputs, Port::parse(field.bytes()?)?)?,
                (12, field) => push(&mut graph.outputs, Port::parse(field.bytes()?)?)?,
                (15, _) => return Err("has sparse weights, which are not supported".into()),
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl Graph<'_> {
    /// This graph and those inside its attributes.
    pub(super) fn all(&self) -> Vec<&Self> {
        let mut graphs = vec![self];
        let mut index = 0;
        while let Some(&graph) = graphs.get(index) {
            let attributes = graph.nodes.iter().flat_map(|node| &node.attributes);
            graphs.extend(attributes.filter_map(|attribute| attribute.graph.as_ref()));
            index += 1;
        }
        graphs
    }
}

impl Port<'_> {
    /// Whether this is an image or map whose channels stand last, as TensorFlow has them: few, and
    /// their number fixed, where the second axis is none or many.
    pub(super) fn has_channels_last(&self) -> bool {
        let few = |size: i64| (1..=64).contains(&size);
        match self.shape[..] {
            [_, second, _, Some(last)] => {
                few(last) && second.is_none_or(|second| second > last && !few(second))
            }
            _ => false,
        }
    }
}

/// Follows single message fields inwards; empty where one is missing.
fn inner<'a>(mut bytes: &'a [u8], path: &[u64]) -> Result<&'a [u8]> {
    for &wanted in path {
        let mut found: &[u8] = &[];
        for field in Fields(bytes) {
            if let (number, Field::Bytes(content)) = field?
                && number == wanted
            {
                found = content;
            }
        }
        bytes = found;
    }
    Ok(bytes)
}

impl<'a> Port<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut port = Self::default();
        for field in Fields(bytes) {
            if let (1, field) = field? {
                port.name = field.text()?;
            }
        }
        // Type, tensor, shape.
        for axis in Fields(inner(bytes, &[2, 1, 2])?) {
            let mut size = None;
            if let (1, axis) = axis? {
                for field in Fields(axis.bytes()?) {
                    if let (1, field) = field? {
                        size = Some(field.int()?);
                    }
                }
                push(&mut port.shape, size)?;
            }
        }
        Ok(port)
    }
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8], depth: usize) -> Result<Self> {
        let mut node = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, field) => push(&mut node.inputs, field.text()?)?,
                (2, field) => push(&mut node.outputs, field.text()?)?,
                (3, field) => node.name = field.text()?,
                (4, field) => node.operator = field.text()?,
                (5, field) => push(
                    &mut node.attributes,
                    Attribute::parse(field.bytes()?, depth)?,
                )?,
                (7, field) => node.domain = field.text()?,
                _ => {}
            }
        }
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn parse(bytes: &'a [u8], depth: usize) -> Result<Self> {
        let mut attribute = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, field) => attribute.name = field.text()?,
                (2, Field::Fixed32(bytes)) => attribute.float = f32::from_le_bytes(bytes),
                (3, field) => attribute.int = field.int()?,
                (4, field) => attribute.text = field.bytes()?,
                (5, field) => attribute.tensor = Some(Tensor::parse(field.bytes()?)?),
                (6, field) => attribute.graph = Some(Graph::parse(field.bytes()?, depth + 1)?),
                (7, field) => field.fixed_into(&mut attribute.floats)?,
                (8, field) => field.ints(&mut attribute.ints)?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut tensor = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, field) => field.ints(&mut tensor.sizes)?,
                (2, field) => tensor.code = field.int()?,
                (3, _) => return Err("a tensor in segments, which are not supported".into()),
                (4 | 10, field) => field.fixed_into(&mut tensor.floats)?,
                (5 | 7 | 11, field) => field.ints(&mut tensor.ints)?,
                (8, field) => tensor.name = field.text()?,
                (9, field) => tensor.raw = Some(field.bytes()?),
                (13, field) => push(&mut tensor.external, pair(field.bytes()?)?)?,
                _ => {}
            }
        }
        Ok(tensor)
    }
}
