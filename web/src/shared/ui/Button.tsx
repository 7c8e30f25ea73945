import type { ButtonHTMLAttributes } from 'react';
import styles from './Button.module.css';

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  primary?: boolean;
  /** Square, for one icon; give it an aria-label. */
  icon?: boolean;
}

export function Button({ primary = false, icon = false, className, type = 'button', ...rest }: ButtonProps) {
  const classes = [styles.button, primary ? styles.primary : '', icon ? styles.icon : '', className].filter(Boolean);
  return <button type={type} className={classes.join(' ')} {...rest} />;
}

/** A key as printed on buttons. */
export function Kbd({ children }: { children: string }) {
  return <kbd className={styles.kbd}>{children}</kbd>;
}
