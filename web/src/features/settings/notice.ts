/** The NOTICE of lightweight-charts, word for word; its npm package does not carry the file. */
export const LIGHTWEIGHT_CHARTS_NOTICE = `TradingView Lightweight Charts
Copyright (с) 2023 TradingView, Inc. https://www.tradingview.com/`;
