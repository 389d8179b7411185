import { render } from 'preact';
import '../../styles/base.css';
import '../../styles/landing.css';
import { LandingApp } from './landing-app';

const root = document.getElementById('app');
if (root !== null) render(<LandingApp />, root);
