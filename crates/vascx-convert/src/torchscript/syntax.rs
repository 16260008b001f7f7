//! The Python subset that TorchScript writes, as a tree.

/// What a file of `code/` defines.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) classes: Vec<Class>,
    pub(super) functions: Vec<Function>,
}

/// A module class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: String,
    /// `Module`, `NamedTuple`, …; empty for a plain class.
    pub(super) base: String,
    /// Attributes that the class itself gives a value.
    pub(super) constants: Vec<(String, Expression)>,
    /// Attributes in order, for named tuples.
    pub(super) fields: Vec<String>,
    pub(super) methods: Vec<Function>,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Vec<Statement>,
    pub(super) line: u32,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) default: Option<Expression>,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) kind: StatementKind,
}

#[derive(Debug)]
pub(super) enum StatementKind {
    /// `target = value`; several targets unpack.
    Assign(Vec<Target>, Expression),
    Expression(Expression),
    Return(Expression),
    If(Expression, Vec<Statement>, Vec<Statement>),
    For(Vec<Target>, Expression, Vec<Statement>),
    While(Expression, Vec<Statement>),
    /// Contexts that mean nothing to a graph, such as the profiler's.
    With(Vec<Expression>, Vec<Statement>),
    Raise,
    Assert(Expression),
    Break,
    Continue,
    Pass,
}

#[derive(Debug)]
pub(super) enum Target {
    Name(String),
    /// Attribute of a variable; state that a conversion does not follow.
    Attribute,
    Group(Vec<Target>),
}

#[derive(Debug)]
pub(super) enum Expression {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    Attribute(Box<Expression>, String),
    Call(Box<Call>),
    Index(Box<Expression>, Box<Expression>),
    List(Vec<Expression>),
    Tuple(Vec<Expression>),
    Dict(Vec<(Expression, Expression)>),
    /// An operator by the name of the function that does the same.
    Unary(&'static str, Box<Expression>),
    /// The same; `and`, `or`, `in` and `not in`, which no function does, by their own names.
    Binary(&'static str, Box<Expression>, Box<Expression>),
    /// `then if condition else otherwise`, in evaluation order.
    Conditional(Box<[Expression; 3]>),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: Expression,
    pub(super) arguments: Vec<Expression>,
    pub(super) named: Vec<(String, Expression)>,
}
