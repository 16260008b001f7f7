//! Importing the program of a TorchScript archive.
//!
//! `code/**/*.py` is parsed ([`parser`]) and evaluated ([`evaluate`]) with the module tree at hand:
//! Python values are computed, calls inlined, and operations on tensors become nodes of a graph
//! ([`lower`]). Nothing is executed: the evaluator knows the short list of functions in
//! [`builtins`] and [`lower`], and is bounded in steps, depth and size.

mod builtins;
mod evaluate;
mod import;
mod lexer;
mod lower;
mod parser;
mod syntax;
mod tensors;
mod value;

use std::collections::HashMap;

pub(crate) use import::import;
#[cfg(feature = "fuzzing")]
pub(crate) use import::import_source;

use crate::error::{Error, Result};
use crate::module_tree::Constant;
use syntax::{Class, Function};

/// Everything in `code/`, by qualified name, and the constants it refers to.
#[derive(Debug, Default)]
pub(crate) struct Program {
    classes: HashMap<String, (Class, String)>,
    functions: HashMap<String, (Function, String)>,
    /// `CONSTANTS.c0` and so on.
    pub(crate) constants: Vec<Constant>,
}

impl Program {
    /// Adds the file `code/<path>.py`.
    pub(crate) fn add_file(&mut self, path: &str, source: &str) -> Result<()> {
        let entry = format!("code/{path}.py");
        let file = parser::parse(source)
            .map_err(|(line, reason)| Error::entry(&entry, format!("line {line}: {reason}")))?;
        let module = path.replace('/', ".");
        for class in file.classes {
            let name = format!("{module}.{}", class.name);
            self.classes.insert(name, (class, entry.clone()));
        }
        for function in file.functions {
            let name = format!("{module}.{}", function.name);
            self.functions.insert(name, (function, entry.clone()));
        }
        Ok(())
    }
}
