//! What the messages of a run have in common in the eyes of the templates, prepared once for each locale.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::logo::Logo;
use crate::color::Rgb;
use crate::config::{Brand, Config, LocalizedText, Package};
use crate::link::PackageId;
use crate::locale::Locale;
use crate::partners::Partner;
use crate::templates::{BrandScope, PackageScope, SenderScope};

/// The variables that do not depend on the partner.
pub struct Scopes {
    pub sender: SenderScope,
    default_locale: Locale,
    /// By the template's locale.
    brands: HashMap<Locale, BrandScope>,
    /// By the template's locale, the locale of the date, and the package. Lists contain few locales.
    packages: Mutex<HashMap<(Locale, Locale, PackageId), Arc<PackageScope>>>,
}

impl Scopes {
    pub fn new(config: &Config, locales: &[Locale], logos: &[Logo]) -> Self {
        let sender = &config.sender;
        let default = &config.templates.default_locale;
        let brands = locales.iter().map(|locale| {
            let brand = brand_scope(&config.brand, logos, locale, default);
            (locale.clone(), brand)
        });
        Self {
            default_locale: default.clone(),
            brands: brands.collect(),
            packages: Mutex::default(),
            sender: SenderScope {
                name: sender.name.clone().unwrap_or_default(),
                address: sender.address.wire(),
                organization: sender.organization.clone(),
                contact: sender.contact.clone().unwrap_or_default(),
                reply_to: sender.reply_address().wire(),
            },
        }
    }

    /// The brand in a locale of the templates.
    pub fn brand(&self, locale: &Locale) -> &BrandScope {
        &self.brands[locale]
    }

    /// The package of a partner in a locale of the templates, its date as `dates` writes it.
    pub fn package(&self, partner: &Partner, locale: &Locale, dates: &Locale) -> Arc<PackageScope> {
        let (package, default) = (&partner.package, &self.default_locale);
        let key = (locale.clone(), dates.clone(), package.link.package_id());
        let mut packages = self.packages.lock();
        let scope = packages
            .entry(key)
            .or_insert_with(|| Arc::new(package_scope(package, locale, dates, default)));
        scope.clone()
    }
}

fn package_scope(
    package: &Package,
    locale: &Locale,
    dates: &Locale,
    default: &Locale,
) -> PackageScope {
    let text = |it: Option<&LocalizedText>| text(it, locale, default);
    let respond_by = package.respond_by.map(|it| dates.write_date(it));
    PackageScope {
        name: text(Some(&package.name)),
        description: text(package.description.as_ref()),
        justification: text(package.justification.as_ref()),
        respond_by: respond_by.unwrap_or_default(),
        sharing: if package.sharing { "true" } else { "" },
        approval_time: text(package.approval_time.as_ref()),
        access_duration: text(package.access_duration.as_ref()),
    }
}

fn brand_scope(brand: &Brand, logos: &[Logo], locale: &Locale, default: &Locale) -> BrandScope {
    let logo = |key: &str| {
        let logo = logos.iter().find(|it| it.key == key);
        logo.map(|it| it.url.clone()).unwrap_or_default()
    };
    debug_assert_eq!(Rgb::WHITE.to_string(), WHITE);
    BrandScope {
        color: brand.color.to_string(),
        text_color: brand.text_color().to_string(),
        dark_color: brand.dark_color().to_string(),
        on_color: WHITE,
        logo: logo("brand.logo"),
        logo_dark: logo("brand.logo_dark"),
        footer: text(brand.footer.as_ref(), locale, default),
        privacy_url: brand.privacy_url.clone().unwrap_or_default(),
    }
}

/// Text on the brand's colour; `check` warns if that has too little contrast with it.
const WHITE: &str = "#ffffff";

fn text(text: Option<&LocalizedText>, locale: &Locale, default: &Locale) -> String {
    let text = text.and_then(|it| it.in_locale(locale, default));
    text.unwrap_or_default().to_owned()
}
