//! Classes, functions and statements.

use super::{Parser, Result};
use crate::torchscript::lexer::Token;
use crate::torchscript::syntax::{
    Class, Expression, File, Function, Parameter, Statement, StatementKind, Target,
};

impl Parser {
    pub(super) fn file(&mut self) -> Result<File> {
        let mut file = File::default();
        loop {
            match self.peek() {
                Token::End => return Ok(file),
                Token::Newline => {
                    self.next();
                }
                Token::Name(word) if word == "class" => {
                    let class = self.class()?;
                    file.classes.push(class);
                }
                Token::Name(word) if word == "def" => {
                    let function = self.function()?;
                    file.functions.push(function);
                }
                _ => return self.error("`class` or `def`"),
            }
        }
    }

    fn class(&mut self) -> Result<Class> {
        self.next();
        let mut class = Class {
            name: self.name()?,
            base: String::new(),
            constants: Vec::new(),
            fields: Vec::new(),
            methods: Vec::new(),
        };
        if self.accept("(") {
            if let Token::Name(base) = self.peek() {
                class.base.clone_from(base);
                self.next();
            }
            self.expect(")")?;
        }
        self.expect(":")?;
        self.newline()?;
        if *self.peek() != Token::Indent {
            return Ok(class);
        }
        self.next();
        while *self.peek() != Token::Dedent {
            if self.at_name("def") {
                let method = self.function()?;
                class.methods.push(method);
            } else if self.accept_name("pass") {
                self.newline()?;
            } else {
                self.attribute(&mut class)?;
            }
        }
        self.next();
        Ok(class)
    }

    /// `name : type`, `name : type = value`, `name = value` or `__annotations__["0"] = type`.
    fn attribute(&mut self, class: &mut Class) -> Result<()> {
        let name = self.name()?;
        if self.accept("[") {
            self.expression()?;
            self.expect("]")?;
        } else {
            class.fields.push(name.clone());
        }
        if self.accept(":") {
            self.expression()?;
        }
        if self.accept("=") {
            let value = self.expression()?;
            class.constants.push((name, value));
        }
        self.newline()
    }

    fn function(&mut self) -> Result<Function> {
        let line = self.line();
        self.next();
        let name = self.name()?;
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.accept(")") {
            // `*` separates the parameters that can only be named.
            if !self.accept("*") {
                let name = self.name()?;
                if self.accept(":") {
                    self.expression()?;
                }
                let default = if self.accept("=") {
                    Some(self.expression()?)
                } else {
                    None
                };
                parameters.push(Parameter { name, default });
            }
            if !self.accept(",") && !self.at(")") {
                return self.error("`,` or `)`");
            }
        }
        if self.accept("->") {
            self.expression()?;
        }
        self.expect(":")?;
        let body = self.block()?;
        Ok(Function {
            name,
            parameters,
            body,
            line,
        })
    }

    fn block(&mut self) -> Result<Vec<Statement>> {
        self.deeper(|parser| {
            parser.newline()?;
            if *parser.peek() != Token::Indent {
                return parser.error("an indented block");
            }
            parser.next();
            let mut body = Vec::new();
            while *parser.peek() != Token::Dedent {
                if *parser.peek() == Token::End {
                    return parser.error("a statement");
                }
                body.push(parser.statement()?);
            }
            parser.next();
            Ok(body)
        })
    }

    fn statement(&mut self) -> Result<Statement> {
        let line = self.line();
        let word = match self.peek() {
            Token::Name(word) => word.clone(),
            _ => String::new(),
        };
        let kind = match word.as_str() {
            "if" => {
                self.next();
                self.conditional()?
            }
            "for" => {
                self.next();
                let targets = self.targets()?;
                if !self.accept_name("in") {
                    return self.error("`in`");
                }
                let iterable = self.expression_list()?;
                self.expect(":")?;
                StatementKind::For(targets, iterable, self.block()?)
            }
            "while" => {
                self.next();
                let condition = self.expression()?;
                self.expect(":")?;
                StatementKind::While(condition, self.block()?)
            }
            "with" => {
                self.next();
                let mut contexts = vec![self.expression()?];
                while self.accept(",") {
                    contexts.push(self.expression()?);
                }
                self.expect(":")?;
                StatementKind::With(contexts, self.block()?)
            }
            "return" => {
                self.next();
                let value = if *self.peek() == Token::Newline {
                    Expression::None
                } else {
                    self.expression_list()?
                };
                self.newline()?;
                StatementKind::Return(value)
            }
            "raise" => {
                self.next();
                self.expression()?;
                self.newline()?;
                StatementKind::Raise
            }
            "assert" => {
                self.next();
                let condition = self.expression()?;
                if self.accept(",") {
                    self.expression()?;
                }
                self.newline()?;
                StatementKind::Assert(condition)
            }
            "pass" | "break" | "continue" => {
                self.next();
                self.newline()?;
                match word.as_str() {
                    "break" => StatementKind::Break,
                    "continue" => StatementKind::Continue,
                    _ => StatementKind::Pass,
                }
            }
            _ => self.simple()?,
        };
        Ok(Statement { line, kind })
    }

    /// After `if` or `elif`.
    fn conditional(&mut self) -> Result<StatementKind> {
        self.deeper(|parser| {
            let condition = parser.expression()?;
            parser.expect(":")?;
            let then = parser.block()?;
            let line = parser.line();
            let otherwise = if parser.accept_name("elif") {
                vec![Statement {
                    line,
                    kind: parser.conditional()?,
                }]
            } else if parser.accept_name("else") {
                parser.expect(":")?;
                parser.block()?
            } else {
                Vec::new()
            };
            Ok(StatementKind::If(condition, then, otherwise))
        })
    }

    /// An assignment or an expression.
    fn simple(&mut self) -> Result<StatementKind> {
        let value = self.expression_list()?;
        if self.accept(":") {
            // The type of a variable.
            self.expression()?;
        }
        let kind = if self.accept("=") {
            let targets = match value {
                Expression::Tuple(items) => items
                    .into_iter()
                    .map(|item| self.target(item))
                    .collect::<Result<_>>()?,
                single => vec![self.target(single)?],
            };
            StatementKind::Assign(targets, self.expression_list()?)
        } else {
            StatementKind::Expression(value)
        };
        self.newline()?;
        Ok(kind)
    }

    fn targets(&mut self) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        loop {
            let name = self.name()?;
            targets.push(Target::Name(name));
            if !self.accept(",") || self.at_name("in") {
                return Ok(targets);
            }
        }
    }

    fn target(&self, expression: Expression) -> Result<Target> {
        match expression {
            Expression::Name(name) => Ok(Target::Name(name)),
            Expression::Attribute(..) => Ok(Target::Attribute),
            Expression::Tuple(items) => items
                .into_iter()
                .map(|item| self.target(item))
                .collect::<Result<_>>()
                .map(Target::Group),
            _ => self.error("a name to assign to"),
        }
    }
}
