import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { setLook } from '../theme/look';
import { type KeyMap, useKeys } from './keys';

function Page({ keys, dialog = false }: { keys: KeyMap; dialog?: boolean }) {
  useKeys(keys);
  return (
    <>
      <input aria-label="Filter" />
      {dialog ? <div role="dialog">asks</div> : null}
    </>
  );
}

afterEach(() => setLook({ singleKeys: true }));

describe('page keys', () => {
  it('hear single keys, and sequences without their last key alone', async () => {
    const keys = { m: vi.fn(), 'g m': vi.fn(), 'g c': vi.fn() };
    render(<Page keys={keys} />);
    await userEvent.keyboard('gm');
    expect(keys['g m']).toHaveBeenCalledTimes(1);
    expect(keys.m).not.toHaveBeenCalled();
    await userEvent.keyboard('m');
    expect(keys.m).toHaveBeenCalledTimes(1);
  });

  it('do not fire a single key as the end of an unknown sequence', async () => {
    const j = vi.fn();
    render(<Page keys={{ j, 'g m': vi.fn() }} />);
    await userEvent.keyboard('gj');
    expect(j).not.toHaveBeenCalled();
  });

  it('rest while someone types, but the palette key does not', async () => {
    const keys = { j: vi.fn(), 'mod+k': vi.fn() };
    render(<Page keys={keys} />);
    await userEvent.click(screen.getByLabelText('Filter'));
    await userEvent.keyboard('j{Control>}k{/Control}');
    expect(keys.j).not.toHaveBeenCalled();
    expect(keys['mod+k']).toHaveBeenCalledTimes(1);
  });

  it('rest while a dialog asks', async () => {
    const j = vi.fn();
    render(<Page keys={{ j }} dialog />);
    await userEvent.keyboard('j');
    expect(j).not.toHaveBeenCalled();
  });

  it('can be turned off', async () => {
    const keys = { j: vi.fn(), 'mod+k': vi.fn() };
    setLook({ singleKeys: false });
    render(<Page keys={keys} />);
    await userEvent.keyboard('j{Meta>}k{/Meta}');
    expect(keys.j).not.toHaveBeenCalled();
    expect(keys['mod+k']).toHaveBeenCalledTimes(1);
  });
});
