import '@preact/signals';
import { render } from 'preact';
import { Follower } from './follow.ts';
import { Page } from './page.tsx';
import { pollStatus } from './status.ts';
import { ConnectionTable } from './table.ts';

const table = new ConnectionTable();
const follower = new Follower(table, location.origin);
const root = document.getElementById('app');
if (root !== null) render(<Page table={table} follower={follower} />, root);
follower.connect();
void pollStatus();
