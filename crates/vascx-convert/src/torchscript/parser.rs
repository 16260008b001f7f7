//! Tokens to a tree, by recursive descent with a limit on the depth.

use super::lexer::{Located, Token, tokens};
use super::syntax::{
    BinaryOperator, Call, Class, Expression, File, Function, Parameter, Statement, StatementKind,
    Target, UnaryOperator,
};

/// Deepest nesting of expressions and blocks together. Inlined programs reach about thirty.
const MAX_DEPTH: usize = 100;

type Result<T> = std::result::Result<T, (u32, String)>;

/// Parses a file of `code/`. An error holds the line and what is wrong with it.
pub(super) fn parse(source: &str) -> Result<File> {
    let mut parser = Parser {
        tokens: tokens(source)?,
        position: 0,
        depth: 0,
    };
    parser.file()
}

struct Parser {
    tokens: Vec<Located>,
    position: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.position].0
    }

    fn line(&self) -> u32 {
        self.tokens[self.position].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        // The last token is `End`, which is never passed.
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    fn error<T>(&self, expected: &str) -> Result<T> {
        Err((
            self.line(),
            format!("expected {expected}, found {:?}", self.peek()),
        ))
    }

    fn at(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }

    fn at_name(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == word)
    }

    fn accept(&mut self, mark: &str) -> bool {
        let found = self.at(mark);
        if found {
            self.next();
        }
        found
    }

    fn accept_name(&mut self, word: &str) -> bool {
        let found = self.at_name(word);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, mark: &str) -> Result<()> {
        if self.accept(mark) {
            Ok(())
        } else {
            self.error(&format!("`{mark}`"))
        }
    }

    fn name(&mut self) -> Result<String> {
        let Token::Name(name) = self.peek() else {
            return self.error("a name");
        };
        let name = name.clone();
        self.next();
        Ok(name)
    }

    fn newline(&mut self) -> Result<()> {
        match self.peek() {
            Token::Newline => {
                self.next();
                Ok(())
            }
            Token::End => Ok(()),
            _ => self.error("the end of the line"),
        }
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err((self.line(), format!("nests deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn file(&mut self) -> Result<File> {
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

    /// One expression, or a tuple without parentheses. A trailing comma makes a tuple.
    fn expression_list(&mut self) -> Result<Expression> {
        let first = self.expression()?;
        if !self.at(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.accept(",") {
            if matches!(self.peek(), Token::Newline | Token::End) || self.at("=") || self.at(":") {
                break;
            }
            items.push(self.expression()?);
        }
        Ok(Expression::Tuple(items))
    }

    fn expression(&mut self) -> Result<Expression> {
        self.deeper(|parser| {
            let value = parser.binary(0)?;
            if !parser.accept_name("if") {
                return Ok(value);
            }
            let condition = parser.binary(0)?;
            if !parser.accept_name("else") {
                return parser.error("`else`");
            }
            let otherwise = parser.expression()?;
            Ok(Expression::Conditional(Box::new([
                condition, value, otherwise,
            ])))
        })
    }

    /// The operator at the current position, if it binds at this level (0: `or` … 5: `*`), and
    /// the number of its tokens.
    fn operator(&self, level: usize) -> Option<(BinaryOperator, usize)> {
        use BinaryOperator as Op;
        let next_is = |word: &str| {
            let next = self.tokens.get(self.position + 1);
            matches!(next, Some((Token::Name(found), _)) if found == word)
        };
        let found = match self.peek() {
            Token::Name(word) => match (level, word.as_str()) {
                (0, "or") => (Op::Or, 1),
                (1, "and") => (Op::And, 1),
                (3, "is") if next_is("not") => (Op::IsNot, 2),
                (3, "is") => (Op::Is, 1),
                (3, "in") => (Op::In, 1),
                (3, "not") if next_is("in") => (Op::NotIn, 2),
                _ => return None,
            },
            Token::Mark(mark) => match (level, *mark) {
                (3, "==") => (Op::Equal, 1),
                (3, "!=") => (Op::NotEqual, 1),
                (3, "<") => (Op::Less, 1),
                (3, "<=") => (Op::LessEqual, 1),
                (3, ">") => (Op::Greater, 1),
                (3, ">=") => (Op::GreaterEqual, 1),
                (4, "+") => (Op::Add, 1),
                (4, "-") => (Op::Sub, 1),
                (5, "*") => (Op::Mul, 1),
                (5, "/") => (Op::Div, 1),
                (5, "//") => (Op::FloorDiv, 1),
                (5, "%") => (Op::Remainder, 1),
                (5, "@") => (Op::MatMul, 1),
                _ => return None,
            },
            _ => return None,
        };
        Some(found)
    }

    fn binary(&mut self, level: usize) -> Result<Expression> {
        if level == 2 && self.at_name("not") {
            self.next();
            let operand = self.deeper(|parser| parser.binary(2))?;
            return Ok(Expression::Unary(UnaryOperator::Not, Box::new(operand)));
        }
        if level == 6 {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        // Each turn makes the tree one level deeper, although the parser does not recurse.
        let mut turns = 0;
        while let Some((operator, tokens)) = self.operator(level) {
            turns += 1;
            if turns > MAX_DEPTH {
                return Err((
                    self.line(),
                    format!("chains more than {MAX_DEPTH} operators"),
                ));
            }
            for _ in 0..tokens {
                self.next();
            }
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression> {
        let operator = if self.accept("-") {
            UnaryOperator::Minus
        } else if self.accept("~") {
            UnaryOperator::Invert
        } else {
            return self.power();
        };
        let operand = self.deeper(Self::unary)?;
        Ok(match (operator, operand) {
            (UnaryOperator::Minus, Expression::Int(value)) => Expression::Int(-value),
            (UnaryOperator::Minus, Expression::Float(value)) => Expression::Float(-value),
            (operator, operand) => Expression::Unary(operator, Box::new(operand)),
        })
    }

    fn power(&mut self) -> Result<Expression> {
        let base = self.postfix()?;
        if !self.accept("**") {
            return Ok(base);
        }
        let exponent = self.deeper(Self::unary)?;
        Ok(Expression::Binary(
            BinaryOperator::Pow,
            Box::new(base),
            Box::new(exponent),
        ))
    }

    fn postfix(&mut self) -> Result<Expression> {
        let mut value = self.atom()?;
        let mut turns = 0;
        loop {
            turns += 1;
            if turns > MAX_DEPTH {
                return Err((self.line(), format!("chains more than {MAX_DEPTH} calls")));
            }
            if self.accept(".") {
                let name = self.name()?;
                value = Expression::Attribute(Box::new(value), name);
            } else if self.accept("(") {
                value = self.call(value)?;
            } else if self.accept("[") {
                let index = self.subscript()?;
                self.expect("]")?;
                value = Expression::Index(Box::new(value), Box::new(index));
            } else {
                return Ok(value);
            }
        }
    }

    /// One index, or several as types have them.
    fn subscript(&mut self) -> Result<Expression> {
        let first = self.expression()?;
        if !self.at(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.accept(",") && !self.at("]") {
            items.push(self.expression()?);
        }
        Ok(Expression::Tuple(items))
    }

    fn call(&mut self, function: Expression) -> Result<Expression> {
        let mut call = Call {
            function,
            arguments: Vec::new(),
            named: Vec::new(),
        };
        while !self.accept(")") {
            let next = self.tokens.get(self.position + 1);
            let named = matches!(self.peek(), Token::Name(_))
                && matches!(next, Some((Token::Mark("="), _)));
            if named {
                let name = self.name()?;
                self.expect("=")?;
                let value = self.expression()?;
                call.named.push((name, value));
            } else {
                call.arguments.push(self.expression()?);
            }
            if !self.accept(",") && !self.at(")") {
                return self.error("`,` or `)`");
            }
        }
        Ok(Expression::Call(Box::new(call)))
    }

    fn atom(&mut self) -> Result<Expression> {
        match self.next() {
            Token::Int(value) => Ok(Expression::Int(value)),
            Token::Float(value) => Ok(Expression::Float(value)),
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Ok(Expression::Text(text))
            }
            Token::Name(name) => Ok(match name.as_str() {
                "None" => Expression::None,
                "True" => Expression::Bool(true),
                "False" => Expression::Bool(false),
                "inf" => Expression::Float(f64::INFINITY),
                "nan" => Expression::Float(f64::NAN),
                _ => Expression::Name(name),
            }),
            Token::Mark("...") => Ok(Expression::Name("...".into())),
            Token::Mark("(") => {
                let (items, trailing) = self.items(")")?;
                let mut items = items;
                match items.pop() {
                    Some(single) if items.is_empty() && !trailing => Ok(single),
                    Some(last) => {
                        items.push(last);
                        Ok(Expression::Tuple(items))
                    }
                    None => Ok(Expression::Tuple(items)),
                }
            }
            Token::Mark("[") => Ok(Expression::List(self.items("]")?.0)),
            Token::Mark("{") => {
                let mut items = Vec::new();
                while !self.accept("}") {
                    let key = self.expression()?;
                    self.expect(":")?;
                    items.push((key, self.expression()?));
                    if !self.accept(",") && !self.at("}") {
                        return self.error("`,` or `}`");
                    }
                }
                Ok(Expression::Dict(items))
            }
            _ => {
                self.position = self.position.saturating_sub(1);
                self.error("an expression")
            }
        }
    }

    /// Expressions up to the closing mark, and whether a comma stood before it.
    fn items(&mut self, close: &str) -> Result<(Vec<Expression>, bool)> {
        let mut items = Vec::new();
        let mut trailing = false;
        while !self.accept(close) {
            items.push(self.expression()?);
            trailing = self.accept(",");
            if !trailing && !self.at(close) {
                return self.error(&format!("`,` or `{close}`"));
            }
        }
        Ok((items, trailing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_methods_and_statements_parse() {
        let source = r#"class Net(Module):
  __parameters__ = ["weight", ]
  weight : Tensor
  stride : Final[Tuple[int, int]] = (2, 2)
  __annotations__["0"] = __torch__.x.Conv
  def forward(self: __torch__.Net,
    x: Tensor,
    *,
    y: Optional[Tensor]=None) -> Tuple[Tensor, Tensor]:
    a, b, = (getattr(self, "0")).forward(x, )
    if torch.gt(a, 1) or not b:
      c = [1, -2.5, a if b else None][0]
    else:
      pass
    for i in range(3):
      d = {"k": x, }
    while True:
      break
    return (a, b)
def free(x: List[int]=[0, 0]) -> NoneType:
  return None
"#;
        let file = parse(source).unwrap();
        let class = &file.classes[0];
        assert_eq!(
            (class.name.as_str(), class.base.as_str()),
            ("Net", "Module")
        );
        assert_eq!(class.methods[0].parameters.len(), 3);
        assert_eq!(class.methods[0].body.len(), 5);
        assert_eq!(class.methods[0].body[1].line, 11);
        assert_eq!(file.functions[0].name, "free");
    }

    #[test]
    fn damage_and_depth_are_errors_with_their_line() {
        for (source, line) in [
            ("x = 1\n", 1),
            ("def f():\n  return (1\n", 2),
            ("def f():\n  a b\n", 2),
            ("def f():\n", 1),
            ("class A(\n", 1),
        ] {
            assert_eq!(parse(source).unwrap_err().0, line, "{source:?}");
        }
        for part in ["(", "[", "-", "not ", "a.b(", "{1:"] {
            let source = format!("def f():\n  x = {}1\n", part.repeat(100_000));
            assert!(parse(&source).unwrap_err().1.contains("deeper"), "{part}");
        }
        for part in ["+ 1", ".a", "(1)", " and 1"] {
            let source = format!("def f():\n  x = y{}\n", part.repeat(100_000));
            assert!(parse(&source).unwrap_err().1.contains("chains"), "{part}");
        }
    }
}
