//! The sides of a constraint: literals, and what `${...}` names on a node.

use std::borrow::Cow;

use nomad_core::node::Node;

/// What a side of a constraint refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Literal(String),
    NodeId,
    NodeName,
    Datacenter,
    Class,
    Pool,
    Attribute(String),
    Meta(String),
    /// `${...}` that names nothing of a node.
    Unknown,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Self {
        let Some(inner) = text.strip_prefix("${") else {
            return Self::Literal(text.to_owned());
        };
        let Some(name) = inner.strip_suffix('}') else {
            return Self::Unknown;
        };
        match name {
            "node.unique.id" => Self::NodeId,
            "node.unique.name" => Self::NodeName,
            "node.datacenter" => Self::Datacenter,
            "node.class" => Self::Class,
            "node.pool" => Self::Pool,
            _ => {
                if let Some(key) = name.strip_prefix("attr.") {
                    Self::Attribute(key.to_owned())
                } else if let Some(key) = name.strip_prefix("meta.") {
                    Self::Meta(key.to_owned())
                } else {
                    Self::Unknown
                }
            }
        }
    }

    /// The value on the node; nothing where the node has none.
    pub(crate) fn resolve<'a>(&'a self, node: &'a Node) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::Literal(text) => text,
            Self::NodeId => return Some(Cow::Owned(node.id.to_string())),
            Self::NodeName => &node.name,
            Self::Datacenter => &node.datacenter,
            Self::Class => &node.node_class,
            Self::Pool => &node.node_pool,
            Self::Attribute(key) => node.attributes.get(key)?,
            Self::Meta(key) => node.meta.get(key)?,
            Self::Unknown => return None,
        };
        Some(Cow::Borrowed(text))
    }

    /// Whether nodes of one computed class may differ in it.
    pub(crate) fn is_unique(&self) -> bool {
        match self {
            Self::NodeId | Self::NodeName => true,
            Self::Attribute(key) | Self::Meta(key) => key.starts_with("unique."),
            _ => false,
        }
    }
}

/// Whether a side of a constraint makes it escape the computed class.
pub(crate) fn escapes(text: &str) -> bool {
    [
        "${node.unique.",
        "${attr.unique.",
        "${meta.unique.",
        "${unique.",
    ]
    .iter()
    .any(|prefix| text.contains(prefix))
}

/// Fills in every `${...}` of a text; what a node does not have becomes empty.
pub(crate) fn interpolate<'a>(text: &'a str, node: &Node) -> Cow<'a, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        out.push_str(&rest[..start]);
        let end = start + length + 1;
        if let Some(value) = Target::parse(&rest[start..end]).resolve(node) {
            out.push_str(&value);
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_resolve_on_the_node() {
        let mut node = Node {
            datacenter: "dc1".to_owned(),
            ..Node::default()
        };
        node.attributes
            .insert("kernel.name".to_owned(), "linux".to_owned());
        for (text, value) in [
            ("${node.datacenter}", Some("dc1")),
            ("${attr.kernel.name}", Some("linux")),
            ("${attr.none}", None),
            ("${nonsense}", None),
            ("${attr.open", None),
            ("literal", Some("literal")),
        ] {
            let target = Target::parse(text);
            assert_eq!(target.resolve(&node).as_deref(), value, "{text}");
        }
        assert_eq!(interpolate("a-${attr.kernel.name}-b", &node), "a-linux-b");
        assert_eq!(interpolate("${attr.none}x${", &node), "x${");
    }
}
