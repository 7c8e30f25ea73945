import type { components } from './schema';

type Schemas = components['schemas'];
export type Status = Schemas['Status'];
export type Mode = Schemas['Mode'];
export type SymbolInfo = Schemas['Symbol'];
export type Ticker = Schemas['Ticker'];
export type Candle = Schemas['Candle'];
export type Candles = Schemas['Candles'];
export type Gap = Schemas['Gap'];
export type Quality = Schemas['Quality'];
export type Book = Schemas['Book'];
export type Trade = Schemas['Trade'];
export type Indicators = Schemas['Indicators'];
export type IndicatorInfo = Schemas['IndicatorInfo'];
export type Problem = Schemas['Problem'];
