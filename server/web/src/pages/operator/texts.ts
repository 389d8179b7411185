/** The words of the console. Operators share the language of the documentation, logs and metrics. */
export const texts = {
  title: 'Operator console',
  link: {
    connecting: 'Connecting to the server…',
    live: 'Live',
    away: 'Server away, trying again…',
    refused: 'Not signed in',
  },
  state: {
    created: 'nobody there yet',
    waiting: 'waiting for an agent',
    answered: 'in progress',
    ended: 'ended',
  },
  signIn: 'Sign in',
  signInIntro: 'The console shows calls to holders of an API key.',
  token: 'Access token',
  tokenHint: 'Signed with an API key, with the grant roomList:',
  tokenCommand: 'tradewind token --admin --room console --identity me --config FILE',
  refused: 'The token was not accepted.',
  calls: 'Calls',
  nodes: 'Nodes',
  noCalls: 'No call is under way.',
  noCallsHint: 'Calls appear here by themselves.',
  mapTitle: 'World map of nodes and calls',
  legend: { node: 'node', shopper: 'shopper', agent: 'agent', guest: 'guest', link: 'link' },
  unplaced: 'Parties without a known place are drawn beside their node.',
  noPlace:
    'This node has no region.latitude and region.longitude: it is drawn where they are zero.',
};
