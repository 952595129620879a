//! Every public item says what it is.

use syn::{Attribute, Fields, ImplItem, Item, TraitItem, Visibility};

use crate::{report, source};

#[test]
fn public_items_are_documented() {
    let mut findings = Vec::new();
    for file in source::rust_sources() {
        let product = file.path.contains("/src/") && file.is_test.contains(&false);
        if !product {
            continue;
        }
        let parsed = syn::parse_file(&file.text);
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.path));
        let mut missing = Vec::new();
        items(&parsed.items, "", &mut missing);
        if crate_root(&file.path) && !has_docs(&parsed.attrs) {
            missing.push("the crate itself".to_owned());
        }
        findings.extend(missing.into_iter().map(|name| format!("{}: {name}", file.path)));
    }
    report("docs", &findings);
}

fn crate_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")
}

fn items(items: &[Item], path: &str, missing: &mut Vec<String>) {
    for item in items {
        one_item(item, path, missing);
    }
}

fn one_item(item: &Item, path: &str, missing: &mut Vec<String>) {
    let mut check = |vis: &Visibility, attrs: &[Attribute], name: String| {
        if is_public(vis) && !has_docs(attrs) {
            missing.push(format!("{path}{name}"));
        }
    };
    match item {
        Item::Const(it) => check(&it.vis, &it.attrs, it.ident.to_string()),
        Item::Static(it) => check(&it.vis, &it.attrs, it.ident.to_string()),
        Item::Type(it) => check(&it.vis, &it.attrs, it.ident.to_string()),
        Item::Fn(it) => check(&it.vis, &it.attrs, it.sig.ident.to_string()),
        Item::Union(it) => check(&it.vis, &it.attrs, it.ident.to_string()),
        Item::Struct(it) => {
            check(&it.vis, &it.attrs, it.ident.to_string());
            if is_public(&it.vis) && !is_waived(&it.attrs) {
                fields(&it.fields, &format!("{path}{}", it.ident), true, missing);
            }
        }
        Item::Enum(it) => {
            check(&it.vis, &it.attrs, it.ident.to_string());
            if is_public(&it.vis) && !is_waived(&it.attrs) {
                variants(it, path, missing);
            }
        }
        Item::Trait(it) => {
            check(&it.vis, &it.attrs, it.ident.to_string());
            if is_public(&it.vis) {
                trait_items(it, path, missing);
            }
        }
        Item::Impl(it) if it.trait_.is_none() => methods(it, path, missing),
        Item::Mod(it) if !is_test(&it.attrs) => {
            if let Some((_, inner)) = &it.content {
                items(inner, &format!("{path}{}::", it.ident), missing);
            }
        }
        _ => {}
    }
}

fn variants(item: &syn::ItemEnum, path: &str, missing: &mut Vec<String>) {
    for variant in &item.variants {
        let name = format!("{path}{}::{}", item.ident, variant.ident);
        if !has_docs(&variant.attrs) {
            missing.push(name.clone());
        }
        fields(&variant.fields, &name, false, missing);
    }
}

/// Named fields; those of a tuple speak through their type. In an enum all are public.
fn fields(fields: &Fields, owner: &str, by_visibility: bool, missing: &mut Vec<String>) {
    let Fields::Named(named) = fields else { return };
    for field in &named.named {
        let public = !by_visibility || is_public(&field.vis);
        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        if public && !has_docs(&field.attrs) {
            missing.push(format!("{owner}.{name}"));
        }
    }
}

fn trait_items(item: &syn::ItemTrait, path: &str, missing: &mut Vec<String>) {
    for inner in &item.items {
        let (attrs, name) = match inner {
            TraitItem::Fn(it) => (&it.attrs, it.sig.ident.to_string()),
            TraitItem::Const(it) => (&it.attrs, it.ident.to_string()),
            TraitItem::Type(it) => (&it.attrs, it.ident.to_string()),
            _ => continue,
        };
        if !has_docs(attrs) {
            missing.push(format!("{path}{}::{name}", item.ident));
        }
    }
}

fn methods(item: &syn::ItemImpl, path: &str, missing: &mut Vec<String>) {
    for inner in &item.items {
        let (vis, attrs, name) = match inner {
            ImplItem::Fn(it) => (&it.vis, &it.attrs, it.sig.ident.to_string()),
            ImplItem::Const(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            _ => continue,
        };
        if is_public(vis) && !has_docs(attrs) {
            missing.push(format!("{path}{name}"));
        }
    }
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn has_docs(attrs: &[Attribute]) -> bool {
    is_waived(attrs) || is_test(attrs) || attrs.iter().any(|attr| attr.path().is_ident("doc"))
}

/// `#[allow(missing_docs)]` or `#[expect(…)]`: an enum whose variants are proper names.
fn is_waived(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let lint = attr.path().is_ident("allow") || attr.path().is_ident("expect");
        lint && attr
            .meta
            .require_list()
            .is_ok_and(|l| l.tokens.to_string().contains("missing_docs"))
    })
}

fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let cfg = attr.path().is_ident("cfg");
        cfg && attr.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

#[test]
fn what_is_public_and_silent_is_found() {
    let text = "
        pub fn a() {}
        /// Doc.
        pub struct S { pub x: u8, y: u8 }
        /// Doc.
        pub enum E { V { f: u8 }, /** d */ W }
        #[allow(missing_docs)] pub enum F { V }
        impl S { pub fn m(&self) {} fn n(&self) {} }
        impl Clone for S { fn clone(&self) -> S { S } }
        #[cfg(test)] mod tests { pub fn b() {} }
        pub(crate) fn c() {}";
    let mut missing = Vec::new();
    items(&syn::parse_file(text).unwrap().items, "", &mut missing);
    assert_eq!(missing, ["a", "S.x", "E::V", "E::V.f", "m"]);
}
